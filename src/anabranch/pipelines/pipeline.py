"""Batches or samples in a row, made as they are asked for, and chained as ``tf.data`` chains them."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np
import torch

from anabranch import _tree, config
from anabranch._arguments import checked
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch._frames import bound_methods
from anabranch.pipelines import passes
from anabranch.pipelines.passes import Element as Element
from anabranch.training.data.ahead import prefetch
from anabranch.training.data.arrays import to_tensor
from anabranch.training.data.batched import Batched

AUTOTUNE = -1
"""As many threads as there are processors, or as many elements ahead as that needs: what ``tf.data.AUTOTUNE`` is."""
UNKNOWN, INFINITE = -2, -1
Elements = Callable[[], Iterator[Element]]


@bound_methods
class Pipeline(Batched):
    """Elements in a row, usually batches ``(x, y)``, made as they are asked for; each pass makes them again.

    ``fit``, ``evaluate`` and ``predict`` take the elements as batches. Each method
    returns a new pipeline.

    Args:
        elements: returns an iterator over one pass.
        length: how many elements a pass has; None where that is not known, -1 where there is no end.

    Example:
        >>> numbers = Pipeline(lambda: iter(range(6)), 6)
        >>> list(numbers.map(lambda x: x * x).skip(1).batch(2))
        [tensor([1, 4]), tensor([ 9, 16]), tensor([25])]
    """

    class_names: list[str] | None = None
    """The classes' names, of files in folders."""
    file_paths: list[str] | None = None
    """The files, in their order."""

    @checked
    def __init__(self, elements: Callable[[], Iterator[Any]], length: int | None = None) -> None:
        self._elements = elements
        self._length = length
        self.batch_size: int | None = None

    @classmethod
    def from_tensor_slices(cls, tensors: Element) -> Pipeline:
        """Return the samples of arrays.

        Args:
            tensors: an array, or a nest of arrays with as many samples each.

        Example:
            >>> list(Pipeline.from_tensor_slices(([1, 2], [3, 4])))
            [(tensor(1), tensor(3)), (tensor(2), tensor(4))]
        """
        nest = _converted(tensors)
        lengths = {len(leaf) for leaf in _tree.leaves(nest)}
        if len(lengths) != 1:
            raise DataError("Arrays of one data set have as many samples each.", got=shown(sorted(lengths)))
        count = lengths.pop()
        return cls(functools.partial(passes.rows, nest, count), count)

    @classmethod
    def range(cls, stop: int) -> Pipeline:
        """Return the integers from 0 to ``stop - 1``.

        Args:
            stop: how many there are.

        Example:
            >>> len(Pipeline.range(3))
            3
        """
        return cls(functools.partial(map, torch.tensor, range(stop)), stop)

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass."""
        return self._elements()

    def __len__(self) -> int:
        """Return how many elements a pass has."""
        if self._length is None or self._length < 0:
            raise TypeError("The length of this pipeline is not known." if self._length is None else "It has no end.")
        return self._length

    def cardinality(self) -> int:
        """Return how many elements a pass has; -1 where there is no end, -2 where that is not known.

        Example:
            >>> Pipeline.range(3).repeat().cardinality()
            -1
        """
        return UNKNOWN if self._length is None else self._length

    @property
    def element_spec(self) -> Element:
        """The shape and dtype of each part of the first element, as pairs."""
        return _tree.map_leaves(lambda leaf: (tuple(leaf.shape), str(leaf.dtype).removeprefix("torch.")), next(iter(self)))

    @checked
    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Pipeline:
        """Apply a function to each element; the parts of a tuple are its arguments.

        Args:
            map_func: the function.
            num_parallel_calls: how many threads call it; -1 (``tf.data.AUTOTUNE``) for as many as there are processors.
            deterministic: without effect: the order is always that of the elements.

        Example:
            >>> list(Pipeline.range(3).map(lambda x: x + 1, num_parallel_calls=2))
            [tensor(1), tensor(2), tensor(3)]
        """
        return self._then(passes.mapped, self._length, function=map_func, threads=_threads(num_parallel_calls))

    @checked
    def filter(self, predicate: Callable[..., Any]) -> Pipeline:
        """Leave out the elements for which a function returns False.

        Args:
            predicate: the function; the parts of a tuple are its arguments.

        Example:
            >>> list(Pipeline.range(4).filter(lambda x: x % 2 == 0))
            [tensor(0), tensor(2)]
        """
        return self._then(passes.filtered, None, predicate=predicate)

    @checked
    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Pipeline:
        """Stack elements in batches; the last may be smaller.

        Args:
            batch_size: how many elements a batch has.
            drop_remainder: whether a smaller last batch is left out.
            num_parallel_calls: without effect: stacking takes less than handing over.
            deterministic: without effect: the order is always that of the elements.

        Example:
            >>> list(Pipeline.range(3).batch(2))
            [tensor([0, 1]), tensor([2])]
        """
        return self.grouped(batch_size, stacked, drop_remainder)

    @checked
    def grouped(self, batch_size: int, stack: Callable[[list[Any]], Any], drop_remainder: bool = False) -> Pipeline:
        """Make batches by a function of one's own.

        Args:
            batch_size: how many elements a batch has.
            stack: makes a batch of a list of elements.
            drop_remainder: whether a smaller last batch is left out.

        Example:
            >>> list(Pipeline.range(3).grouped(2, len))
            [2, 1]
        """
        _check_count("batch_size", batch_size)

        length = self._length
        if length is not None and length >= 0:
            length = length // batch_size if drop_remainder else -(-length // batch_size)
        found = self._then(passes.grouped, length, size=batch_size, stack=stack, drop_remainder=drop_remainder)
        found.batch_size = batch_size
        return found

    def unbatch(self) -> Pipeline:
        """Take batches apart.

        Example:
            >>> list(Pipeline.range(3).batch(2).unbatch())
            [tensor(0), tensor(1), tensor(2)]
        """
        return self._then(passes.ungrouped, None)

    @checked
    def prefetch(self, buffer_size: int = AUTOTUNE) -> Pipeline:
        """Make elements by a thread while others are used.

        Args:
            buffer_size: how many are made ahead; -1 (``tf.data.AUTOTUNE``) for two.

        Example:
            >>> len(Pipeline.range(3).prefetch(1))
            3
        """
        size = 2 if buffer_size == AUTOTUNE else buffer_size
        if not size:
            return self._then(iter, self._length)
        _check_count("buffer_size", size)
        return self._then(prefetch, self._length, size=size)

    @checked
    def cache(self, filename: str = "") -> Pipeline:
        """Store the elements of the first whole pass in memory, for later ones.

        Args:
            filename: without effect: they stay in memory.

        Example:
            >>> numbers = Pipeline.range(2).cache()
            >>> list(numbers) == list(numbers)
            True
        """
        return self._with(passes.Cached(self), self._length)

    @checked
    def take(self, count: int) -> Pipeline:
        """Return the first elements.

        Args:
            count: how many; -1 for all.

        Example:
            >>> list(Pipeline.range(3).take(1))
            [tensor(0)]
        """
        if count < 0:
            return self._then(iter, self._length)
        known = self._length is not None
        length = count if self._length == INFINITE else min(count, self._length or 0) if known else None
        return self._then(passes.part, length, start=0, stop=count)

    @checked
    def skip(self, count: int) -> Pipeline:
        """Leave out the first elements.

        Args:
            count: how many.

        Example:
            >>> list(Pipeline.range(3).skip(2))
            [tensor(2)]
        """
        length = self._length if self._length in (None, INFINITE) else max(0, (self._length or 0) - count)
        return self._then(passes.part, length, start=count, stop=None)

    @checked
    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Pipeline:
        """Draw each next element from the ``buffer_size`` that come next.

        Args:
            buffer_size: from how many; as many as there are shuffles fully.
            seed: the seed of the order; it follows from the global seed unless given.
            reshuffle_each_iteration: whether each pass has another order.

        Example:
            >>> sorted(int(x) for x in Pipeline.range(3).shuffle(3))
            [0, 1, 2]
        """
        _check_count("buffer_size", buffer_size)
        first = config.seed() if seed is None else int(seed)
        return self._then(passes.Shuffled(buffer_size, passes.Draws(first, anew=reshuffle_each_iteration)), self._length)

    @checked
    def repeat(self, count: int | None = None) -> Pipeline:
        """Return the elements several times over.

        Args:
            count: how many times; without end unless given, or where it is -1.

        Example:
            >>> len(Pipeline.range(3).repeat(2))
            6
        """
        endless = count is None or count < 0
        times = count or 0
        length = INFINITE if endless else self._length if self._length in (None, INFINITE) else (self._length or 0) * times
        return self._with(functools.partial(passes.repeated, self, None if endless else times), length)

    @checked
    def enumerate(self, start: int = 0) -> Pipeline:
        """Return pairs of a number and an element.

        Args:
            start: the first number.

        Example:
            >>> [index for index, _ in Pipeline.range(2).enumerate()]
            [0, 1]
        """
        return self._then(enumerate, self._length, start=start)

    @checked
    def concatenate(self, dataset: Iterable[Any]) -> Pipeline:
        """Return the elements, then those of another pipeline.

        Args:
            dataset: the other.

        Example:
            >>> len(Pipeline.range(2).concatenate(Pipeline.range(3)))
            5
        """
        other = (
            dataset.cardinality() if isinstance(dataset, Pipeline) else len(dataset) if isinstance(dataset, Sized) else UNKNOWN
        )
        known = self._length is not None and self._length >= 0 and other >= 0
        return self._with(functools.partial(itertools.chain, self, dataset), (self._length or 0) + other if known else None)

    @staticmethod
    def zip(datasets: tuple[Iterable[Any], ...]) -> Pipeline:
        """Return tuples of an element of each of several pipelines.

        Args:
            datasets: the pipelines.

        Example:
            >>> list(Pipeline.zip((Pipeline.range(2), Pipeline.range(2))))
            [(tensor(0), tensor(0)), (tensor(1), tensor(1))]
        """
        lengths = [each.cardinality() if isinstance(each, Pipeline) else UNKNOWN for each in datasets]
        known = [each for each in lengths if each >= 0]
        length = min(known) if known and UNKNOWN not in lengths else None
        return Pipeline(functools.partial(zip, *datasets, strict=False), length)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Yield the elements with NumPy arrays in the place of tensors.

        Example:
            >>> list(Pipeline.range(1).as_numpy_iterator())
            [array(0)]
        """
        for item in self:
            yield _tree.map_leaves(lambda leaf: leaf.numpy(force=True) if isinstance(leaf, torch.Tensor) else leaf, item)

    def _then(self, after: Callable[..., Iterator[Any]], length: int | None, **settings: object) -> Pipeline:
        """Return a pipeline of what a function, with these settings, makes of a pass."""
        function = functools.partial(after, **settings) if settings else after
        return self._with(functools.partial(passes.then, self, function), length)

    def _with(self, elements: Elements, length: int | None) -> Pipeline:
        found = Pipeline(elements, length)
        found.class_names, found.file_paths = self.class_names, self.file_paths
        return found


def stacked(rows: list[Any]) -> Element:
    """Return rows as one batch: tensors are stacked, strings become an array."""
    first = rows[0]
    if isinstance(first, dict):
        return {key: stacked([row[key] for row in rows]) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(stacked([row[index] for row in rows]) for index in range(len(first)))
    if isinstance(first, torch.Tensor):
        shapes = collections.Counter(tuple(row.shape) for row in rows)
        if len(shapes) > 1:
            raise DataError(
                "Elements of unequal shapes make no batch.",
                got=", ".join(map(str, shapes)),
                repair="map a resizing over them first",
            )
        return torch.stack(rows)
    if isinstance(first, (str, bytes)):
        return np.array(rows, dtype=object)
    return to_tensor(np.stack([np.asarray(row) for row in rows]), "a batch")


def _converted(tensors: Element) -> Element:
    if isinstance(tensors, dict):
        return {key: _converted(each) for key, each in tensors.items()}
    if isinstance(tensors, tuple):
        return tuple(map(_converted, tensors))
    array = tensors if isinstance(tensors, torch.Tensor) else np.asarray(tensors)
    if isinstance(array, np.ndarray) and array.dtype.kind in "USO":
        return array.astype(object)
    if array.ndim == 0:
        raise ArgumentTypeError("tensors must be arrays of samples.", got=shown(tensors))
    return to_tensor(array, "tensors")


def _threads(calls: int | None) -> int:
    import os

    if calls is None:
        return 0
    if calls == AUTOTUNE:
        return min(32, os.cpu_count() or 1)
    _check_count("num_parallel_calls", calls)
    return calls


def _check_count(name: str, value: int) -> None:
    if not is_integer(value) or value < 1:
        raise ArgumentError(f"{name} must be an integer ≥ 1.", got=shown(value))
