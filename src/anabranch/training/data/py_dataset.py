"""Data that a user's own class gives batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from anabranch._arguments import checked
from anabranch._frames import bound_methods


@bound_methods
class PyDataset:
    """Base of data that come batch by batch: write ``__getitem__``, which returns one, and how many there are.

    That is ``__len__``, or the property ``num_batches``, which is None where the data have no end.

    Args:
        workers: how many threads fetch batches ahead, in order; 0 fetches them one by one. The default of one thread works
            where batches take long and do not draw from torch's global generator, which training draws from too.
        use_multiprocessing: whether processes fetch in the place of threads.
        max_queue_size: how many batches are fetched ahead.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return index, index**2
        >>> list(Squares())
        [(0, 0), (1, 1), (2, 4)]
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    @checked
    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return how many batches there are."""
        kind = type(self)
        if kind.num_batches is PyDataset.num_batches:
            raise NotImplementedError(f"{kind.__name__} must define __len__(self), or the property num_batches")
        if self.num_batches is None:
            raise TypeError(f"{kind.__name__} has no length: its num_batches is None")
        return self.num_batches

    def __getitem__(self, index: int) -> Any:
        """Return one batch: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __iter__(self) -> Iterator[Any]:
        """Yield each batch once."""
        count = self.num_batches
        return (self[index] for index in (itertools.count() if count is None else range(count)))

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None where there is no end."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Prepare for an epoch that begins.

        Example:
            >>> PyDataset().on_epoch_begin()
        """

    def on_epoch_end(self) -> None:
        """Prepare for the next epoch, e.g. shuffle.

        Example:
            >>> class Turned(PyDataset):
            ...     rows = [1, 2, 3]
            ...     def on_epoch_end(self):
            ...         self.rows = self.rows[::-1]
            >>> data = Turned()
            >>> data.on_epoch_end()
            >>> data.rows
            [3, 2, 1]
        """
