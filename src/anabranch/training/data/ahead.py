"""Fetching ahead by threads."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from anabranch._arguments import Several, checked

T = TypeVar("T")


def ahead(calls: Iterable[Callable[[], T]], workers: int, size: int) -> Generator[T, None, None]:
    """Yield what each call returns, in order, while threads make the next ``size`` calls; what one raises is raised here.

    Closing the generator waits for the calls under way; no thread is left.

    >>> list(ahead([lambda: 1, lambda: 2, lambda: 3], workers=2, size=2))
    [1, 2, 3]
    """
    from concurrent.futures import ThreadPoolExecutor

    remaining = iter(calls)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anabranch-data")
    try:
        waiting = deque(pool.submit(call) for call in itertools.islice(remaining, size))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(call) for call in itertools.islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


@checked
def prefetch(items: Iterable[T], size: Several = 2) -> Generator[T, None, None]:
    """Yield what ``items`` yields, fetched by a thread up to ``size`` ahead: for a generator that waits for disk or network.

    The generator must not use the model, nor draw from torch's global generator, for its code runs beside the steps. One that
    computes in Python gains nothing; a ``PyDataset`` or a DataLoader with processes does.

    Args:
        items: what is fetched from.
        size: how many items are fetched ahead.

    Example:
        >>> list(prefetch(range(3)))
        [0, 1, 2]
    """
    end = object()
    batches = iter(items)
    with contextlib.closing(ahead(itertools.repeat(lambda: next(batches, end)), 1, size)) as found:
        yield from itertools.takewhile(lambda item: item is not end, found)
