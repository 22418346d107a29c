"""Where batches come from: arrays in memory, loaders, sequences of batches, generators; each passed through once an epoch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import torch

from anabranch import _tree
from anabranch._errors import AnabranchError, ArgumentError, DataError
from anabranch.training import _order
from anabranch.training._fetching import fetched
from anabranch.training._placing import picked, placed_columns
from anabranch.utils import pack_x_y_sample_weight


class Batch(NamedTuple):
    """One batch, flat in the model's order: ``y`` and ``weights`` hold None where an output has none."""

    x: list[torch.Tensor | None]
    y: list[torch.Tensor | None]
    weights: list[torch.Tensor | None]
    size: int
    nest: Any = None
    """The nests that x, y and weights came in, for steps that users write."""


def data_of(batch: Batch) -> Any:
    """Return what a step is given: x, (x, y) or (x, y, sample_weight), each in the user's nest."""
    parts = (batch.x, batch.y, batch.weights)
    return pack_x_y_sample_weight(
        *(None if nest is None else _tree.fill(nest, part) for nest, part in zip(batch.nest, parts, strict=True))
    )


class Feed(Protocol):
    """What a source asks for: turning what it holds into batches that fit the model."""

    device: torch.device
    """Where batches go."""

    def batch(self, item: Any) -> Batch:
        """Bind, check and move one batch as a user's source yields it."""

    def ready(self, batch: Batch) -> Batch:
        """Move one batch to the device and cast the inputs there."""

    def flat(self, x: Any, y: Any, weights: Any, *, finite: bool = False) -> Batch:
        """Check all that a user holds in memory."""

    def weigh(self, batch: Batch) -> Batch:
        """Multiply the sample weights by the weight of each sample's class."""


class Source(Protocol):
    """A supply of batches that can be passed through once for each epoch."""

    steps: int | None
    """Batches in one pass; None where unknown."""
    samples: int | None
    """Samples in one pass; None where unknown."""
    once: bool
    """Whether a second pass continues where the first stopped, as a generator does."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Return the batches of the pass that begins in ``epoch``."""


class Arrays:
    """Data in memory: one permutation for each pass, batches gathered from it without Python code for each sample."""

    once = False

    def __init__(self, feed: Feed, data: Batch, batch_size: int, shuffle: bool | str, fit: int) -> None:
        self._feed = feed
        self._data = data
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._fit = fit
        self.samples: int | None = data.size
        self.steps: int | None = math.ceil(data.size / batch_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Gather the pass's batches; the last may be smaller. In unshuffled order they are views, not copies."""
        x, y, weights, count, nest = self._on_device()
        size, ready = self._batch_size, self._feed.ready
        order = _order.permutation(count, self._shuffle, size, self._fit, epoch)
        if order is None:
            for start in range(0, count, size):
                part = slice(start, min(start + size, count))
                yield ready(
                    Batch(
                        [None if t is None else t[part] for t in x],
                        [None if t is None else t[part] for t in y],
                        [None if t is None else t[part] for t in weights],
                        part.stop - start,
                        nest,
                    )
                )
            return
        # Each column may lie on a device of its own; the order goes there once.
        columns = [t for t in (*x, *y, *weights) if t is not None]
        orders = {t.device: order.to(t.device) for t in columns}
        device = self._feed.device
        for start in range(0, count, size):
            picks = {place: whole[start : start + size] for place, whole in orders.items()}
            yield ready(
                Batch(
                    [None if t is None else picked(t, picks[t.device], device) for t in x],
                    [None if t is None else picked(t, picks[t.device], device) for t in y],
                    [None if t is None else picked(t, picks[t.device], device) for t in weights],
                    min(size, count - start),
                    nest,
                )
            )

    def _on_device(self) -> Batch:
        """Return the data, from now on on the device where they fit there."""
        if self._data.size > self._batch_size:
            x, y, weights = placed_columns(self._data[:3], self._feed.device)
            self._data = self._data._replace(x=x, y=y, weights=weights)
        return self._data


class Stream:
    """Anything that can be iterated and yields batches: a DataLoader, a generator, an object with ``__iter__``."""

    def __init__(self, feed: Feed, items: Iterable[Any], generator: torch.Generator | None = None, fit: int = 0) -> None:
        self._feed = feed
        self._items = items
        self._generator = generator
        self._fit = fit
        self.once = hasattr(items, "__next__")
        self.steps = _length(items)
        self.samples: int | None = None

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Begin the iterable anew, or go on with it where it is a generator."""
        if self._generator is not None:
            self._generator.set_state(_order.generator(self._fit, epoch).get_state())
        return guarded(iter(self._items), self._feed, type(self._items).__name__)


class Sequence:
    """An object with ``__len__`` and ``__getitem__`` giving whole batches, as Keras's PyDataset; only batches are shuffled."""

    once = False

    def __init__(self, feed: Feed, items: Any, shuffle: bool | str, fit: int) -> None:
        self._feed = feed
        self._items = items
        self._shuffle = shuffle
        self._fit = fit
        self.samples: int | None = None
        self.steps: int | None = len(items)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Fetch the batches in this pass's order, then tell the object that the epoch is over."""
        begun, ended = (getattr(self._items, f"on_epoch_{end}", None) for end in ("begin", "end"))
        if begun is not None:
            begun()
        count = len(self._items)
        order = _order.permutation(count, bool(self._shuffle), 1, self._fit, epoch)
        indices: list[int] = list(range(count)) if order is None else order.tolist()
        items = fetched(self._items, indices, _order.generator(self._fit, epoch))
        with contextlib.closing(items):  # ends its threads
            yield from guarded(items, self._feed, type(self._items).__name__)
        if ended is not None:
            ended()


def _length(items: Any) -> int | None:
    try:
        return len(items)
    except (TypeError, NotImplementedError):
        return None


def guarded(items: Iterator[Any], feed: Feed, kind: str) -> Iterator[Batch]:
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
                repair="its own error stands above this one",
            ) from error
        try:
            batch = feed.batch(item)
        except AnabranchError as error:
            error.at(f"batch {number} from the {kind}")
            raise
        yield batch


class Epochs:
    """Deals a source's batches out to epochs, with ``steps`` batches each where that is given."""

    def __init__(self, source: Source, steps: int | None) -> None:
        self.source = source
        self.limit = steps
        self.steps = steps or source.steps
        self.ran_out = False
        self._current: Iterator[Batch] | None = None
        self._dealt: Iterator[Batch] | None = None

    def close(self) -> None:
        """End what a pass that is not used up still runs, such as threads that fetch its next batches."""
        for batches in (self._dealt, self._current):
            if isinstance(batches, Generator):
                batches.close()
        self._dealt = self._current = None

    def begin_anew(self) -> None:
        """Forget a pass that is not used up; a generator goes on where it stopped."""
        self._current = None

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Return the batches of one epoch; with ``steps``, a pass that is not used up goes on in the next epoch.

        Sets ``ran_out`` where the source ended before ``steps`` batches.
        """
        self.ran_out = False
        self._dealt = self.source.batches(epoch) if self.limit is None else self._limited(epoch, self.limit)
        return self._dealt

    def _limited(self, epoch: int, limit: int) -> Iterator[Batch]:
        begun = False
        dealt = 0
        while dealt < limit:
            if self._current is None:
                if begun:
                    self.ran_out = True
                    return
                self._current = self.source.batches(epoch)
                begun = True
            batch = next(self._current, None)
            if batch is None:
                self._current = None
                begun = begun or self.source.once
                continue
            dealt += 1
            yield batch
            batch = None


def refuse_parts(kind: str, y: Any, sample_weight: Any) -> None:
    """Raise where targets are given beside a source that yields them itself."""
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ArgumentError(
                f"{name} cannot be given beside a {kind}, which yields it itself.",
                expected="batches (x, y) or (x, y, sample_weight) from the source",
                got=f"{name} of type {type(value).__name__}",
            )
