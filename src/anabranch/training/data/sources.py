"""Kinds of sources of batches: arrays in memory, iterables that yield batches, objects that return batches by index."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol

import torch

from anabranch._asked import method
from anabranch._errors import AnabranchError, DataError
from anabranch.registry import Json
from anabranch.training.data.batch import Batch
from anabranch.training.data.binder import Binder
from anabranch.training.data.fetching import Indexed, fetched
from anabranch.training.data.placement import Supply
from anabranch.training.data.position import sketch
from anabranch.training.data.py_dataset import PyDataset
from anabranch.training.data.reading import Reading
from anabranch.training.data.shuffling import generator as epoch_generator, permutation


class Source(Protocol):
    """A supply of batches that is passed through once per epoch."""

    steps: int | None
    """Batches in one pass; None where unknown."""
    samples: int | None
    """Samples in one pass; None where unknown."""
    once: bool
    """Whether a second pass continues where the first stopped, as a generator does."""
    may_change: bool
    """Whether code of the user's, which may change arrays in memory, runs between two passes."""
    fit: int
    """Which call of ``fit`` since the seed was set, on which the order depends."""

    @property
    def items(self) -> object:
        """The user's object that batches come from; None for data in memory."""

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Return the batches of the pass that begins in ``epoch``, without the first ``skip`` of them."""

    def identity(self) -> dict[str, Json]:
        """Return what is known of the data, by which a backup recognizes them."""

    def close(self) -> None:
        """End what goes on for later passes."""


class Arrays:
    """Data in memory: one permutation for each pass, batches gathered from it without Python code for each sample.

    Args:
        binder: places batches.
        data: all of them.
        reading: how they are read.
    """

    once = False
    items = None

    def __init__(self, binder: Binder, data: Batch, reading: Reading) -> None:
        self._binder = binder
        self._data = data
        self._batch_size = size = reading.size(data.size)
        self._shuffle = reading.shuffle
        self._supply = Supply(data[:3], binder.strategy.mover, reading.repeats and data.size > size)
        self.fit = reading.fit
        self.samples: int | None = data.size
        self.steps: int | None = math.ceil(data.size / size)
        self.may_change = True

    def identity(self) -> dict[str, Json]:
        """Return sizes, types, a checksum of some samples, and how batches are made."""
        return {"samples": self._data.size, "batch_size": self._batch_size, "shuffle": self._shuffle, **sketch(self._data)}

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Gather the pass's batches; the last may be smaller. On a CPU, without shuffling, they are views, not copies."""
        data, size, place = self._data, self._batch_size, self._binder.place
        if size >= data.size and not self._shuffle:
            if not skip:
                yield place(data)
            return
        self._supply.begin(permutation(data.size, self._shuffle, size, self.fit, epoch), self.may_change)
        for start in range(skip * size, data.size, size):
            stop = min(start + size, data.size)
            # held by no name here, so that its memory is free once the step is taken
            yield place(Batch(*self._supply.rows(start, stop), stop - start, data.structure))

    def close(self) -> None:
        """Let copies on the device go."""
        self._supply.close()


class IteratedBatches:
    """An iterable that yields batches: a DataLoader, a generator, an object with ``__iter__``."""

    def __init__(self, binder: Binder, items: Iterable[object], generator: torch.Generator | None = None, fit: int = 0) -> None:
        self._binder = binder
        self.items = items
        self._generator = generator
        self.fit = fit
        self.once = isinstance(items, Iterator)
        self.steps = _length(items)
        self.may_change = True
        self.samples: int | None = None

    def identity(self) -> dict[str, Json]:
        """Return what kind of object it is, and how many batches it has."""
        return {"kind": type(self.items).__name__, "batches": self.steps}

    def close(self) -> None:
        """Do nothing."""

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Start the iterable again, or continue it where it is a generator."""
        if self._generator is not None:
            self._generator.set_state(epoch_generator(self.fit, epoch).get_state())
        items = iter(self.items)
        for _ in range(skip):
            next(items, None)
        return guarded(items, self._binder, type(self.items).__name__)


class IndexedBatches:
    """An object whose ``__getitem__`` returns whole batches, as Keras's PyDataset; only batches are shuffled."""

    once = False

    def __init__(self, binder: Binder, items: Indexed, shuffle: bool | str, fit: int) -> None:
        self._binder = binder
        self.items = items
        self._shuffle = shuffle
        self.fit = fit
        self.may_change = True
        self.samples: int | None = None
        self.steps: int | None = _count(items)

    def identity(self) -> dict[str, Json]:
        """Return what kind of object it is, how many batches it has, and whether they are shuffled."""
        return {"kind": type(self.items).__name__, "batches": self.steps, "shuffle": bool(self._shuffle)}

    def close(self) -> None:
        """Do nothing."""

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Fetch the batches in this pass's order, between the object's ``on_epoch_begin`` and ``on_epoch_end``.

        What is skipped is fetched too, as the object may draw random numbers for it.
        """
        found = self._batches(epoch, skip)
        if skip:
            next(found)
        return found

    def _batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        _call(self.items, "on_epoch_begin")
        count = _count(self.items)
        order = None if count is None else permutation(count, bool(self._shuffle), 1, self.fit, epoch)
        indices: Iterable[int] = itertools.count() if count is None else range(count) if order is None else order.tolist()
        items = fetched(self.items, indices, epoch_generator(self.fit, epoch))
        with contextlib.closing(items):  # ends its threads
            if skip:
                for _ in range(skip):
                    next(items, None)
                yield _SKIPPED
            yield from guarded(items, self._binder, type(self.items).__name__)
        _call(self.items, "on_epoch_end")


_SKIPPED = Batch([], [], [], 0)  # what a pass yields once its first batches are behind it


def _call(items: object, hook: str) -> None:
    """Call a hook of a user's data set, which need not have it."""
    found = method(items, hook)
    if found is not None:
        found()


def _count(items: Indexed) -> int | None:
    """Return how many batches a user's data set says it has; None where it has no end."""
    try:
        return None if isinstance(items, PyDataset) and items.num_batches is None else len(items)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"__len__ of {type(items).__name__} must return the number of batches, an integer.", got=str(error)
        ) from error


def _length(items: Iterable[object]) -> int | None:
    try:
        return len(items) if isinstance(items, Sized) else None
    except (TypeError, NotImplementedError):
        return None


def guarded(items: Iterator[object], binder: Binder, kind: str) -> Iterator[Batch]:
    """Yield batches from the user's code; what it raises becomes a DataError that says at which batch."""
    number = 0
    while True:
        number += 1
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            raise DataError(
                f"The data source failed at batch {number}.",
                got=f"{type(error).__name__}: {error}",
                where=f"in the {kind} given as data",
                repair="see the source's own error above this one",
            ) from error
        try:
            batch = binder.batch(item)
        except AnabranchError as error:
            error.at(f"batch {number} from the {kind}")
            raise
        yield batch
