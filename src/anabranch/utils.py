"""Small helpers of Keras's ``utils``: the seed, one-hot labels, scaling."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from anabranch import config
from anabranch._errors import DataError

if TYPE_CHECKING:
    import numpy as np


def set_random_seed(seed: int) -> None:
    """Seed Python's ``random``, NumPy's global generator, first values, and torch's generators (when it is first used)."""
    config.set_seed(seed)
    random.seed(seed)
    import sys

    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:  # the user's own modules draw their first values when they are made
        sys.modules["torch"].manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Return whole-number labels as one-hot rows: (N,) or (N, 1) -> (N, num_classes), float32.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    import numpy as np

    labels = np.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        raise DataError(
            "A label lies outside the classes.",
            expected=f"0 to {count - 1}",
            got=f"{labels.ravel()[first]} at index {first}",
        )
    return np.asarray(np.eye(count, dtype="float32")[labels])


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Return x divided by its norm of that order along ``axis``; zeros stay zeros."""
    import numpy as np

    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return np.asarray(x / np.expand_dims(norm, axis))


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what a training step is given: x, (x,), (x, y) or (x, y, sample_weight).

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(
            "A batch has another number of parts.",
            expected="(x,), (x, y) or (x, y, sample_weight)",
            got=f"{len(data)} parts",
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return what ``unpack_x_y_sample_weight`` takes apart: x, (x, y) or (x, y, sample_weight).

    >>> pack_x_y_sample_weight(1, 2)
    (1, 2)
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


def ahead(calls: Iterable[Callable[[], Any]], workers: int, size: int) -> Generator[Any, None, None]:
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


def prefetch(items: Iterable[Any], size: int = 2) -> Generator[Any, None, None]:
    """Yield what ``items`` yields, fetched by a thread up to ``size`` ahead: for a generator that waits for disk or network.

    The generator must not use the model, nor draw from torch's global generator, for its code runs beside the steps. One that
    computes in Python gains nothing; a ``PyDataset`` or a DataLoader with processes does.

    >>> list(prefetch(range(3)))
    [0, 1, 2]
    """
    end = object()
    batches = iter(items)
    with contextlib.closing(ahead(itertools.repeat(lambda: next(batches, end)), 1, size)) as found:
        yield from itertools.takewhile(lambda item: item is not end, found)


class PyDataset:
    """Base of data that come batch by batch: write ``__len__``, how many there are, and ``__getitem__``, which gives one.

    ``workers`` threads, or processes with ``use_multiprocessing``, fetch up to ``max_queue_size`` batches ahead, in order; with
    0 batches are fetched one by one. The single thread that is there unless told otherwise works where batches take long and do
    not draw from torch's global generator, which training draws from too.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return how many batches there are."""
        raise NotImplementedError(f"{type(self).__name__} must write __len__(self)")

    def __getitem__(self, index: int) -> Any:
        """Return one batch: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must write __getitem__(self, index)")

    @property
    def num_batches(self) -> int:
        """How many batches there are."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called when an epoch begins."""

    def on_epoch_end(self) -> None:
        """Called when an epoch ends."""


Sequence = PyDataset  # its older name
