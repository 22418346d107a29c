"""Fetching batches from an object by index: one after the other, in threads, or in processes."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Generator, Iterable
from typing import Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset

from anabranch import runtime
from anabranch.training.data.ahead import ahead
from anabranch.training.data.py_dataset import PyDataset

_SLOW = 1e-3
"""Seconds per batch above which a thread pays: handing over costs 50 to 200 µs, and slows the step that runs meanwhile."""


@runtime_checkable
class Indexed(Protocol):
    """A user's object that returns batches by index."""

    def __len__(self) -> int:
        """Return how many batches there are."""

    def __getitem__(self, index: int) -> object:
        """Return one batch."""


def fetched(items: Indexed, indices: Iterable[int], generator: torch.Generator) -> Generator[object, None, None]:
    """Yield ``items[index]`` for each index, in order.

    A ``PyDataset`` says how: in ``workers`` threads, or processes with ``use_multiprocessing``, up to ``max_queue_size``
    batches ahead. Its default of one thread is used only where ``needs_thread`` says so.
    """
    loading = items if isinstance(items, PyDataset) else None
    workers = 0 if loading is None else int(loading.workers or 0)
    if loading is not None and workers and loading.use_multiprocessing:
        yield from _from_processes(loading, indices, workers, generator)
        return
    remaining = iter(indices)
    if workers == 1:
        seconds, drew = 0.0, False
        for index in itertools.islice(remaining, 2):  # the first may have to open something
            before, begun = runtime.random_state(), time.perf_counter()
            item = items[index]
            seconds, drew = time.perf_counter() - begun, drew or runtime.random_state() != before
            yield item
        workers = int(needs_thread(seconds, drew))
    if loading is not None and workers:
        calls = (functools.partial(items.__getitem__, index) for index in remaining)
        yield from ahead(calls, workers, max(loading.max_queue_size, workers))
    else:
        for index in remaining:
            yield items[index]


def needs_thread(seconds: float, drew: bool) -> bool:
    """Return whether to fetch batches while steps run: where one takes long.

    What draws from torch's generator is not fetched so, as dropout draws from it too and results would depend on timing.
    """
    return seconds >= _SLOW and not drew


class _Items(Dataset[object]):
    def __init__(self, items: Indexed) -> None:
        self._items = items

    def __getitem__(self, index: int) -> object:
        return self._items[index]


def _from_processes(
    items: PyDataset, indices: Iterable[int], workers: int, generator: torch.Generator
) -> Generator[object, None, None]:
    loader: DataLoader[object] = DataLoader(
        _Items(items), batch_size=None, sampler=indices, num_workers=workers, generator=generator,
        prefetch_factor=max(1, items.max_queue_size // workers),
    )  # fmt: skip
    yield from loader
