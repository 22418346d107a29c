"""What each method of a pipeline makes of a pass; functions and values alone, so that a pipeline goes to other processes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from anabranch import _tree
from anabranch.training.data.ahead import ahead

Element: TypeAlias = Any
"""What a pipeline yields: a tensor, an array, a string, or a nest of these."""


def row(nest: Element, index: int) -> Element:
    """Return one sample of a nest of arrays."""
    return _tree.map_leaves(lambda leaf: leaf[index], nest)


def rows(nest: Element, count: int) -> Iterator[Any]:
    """Yield the samples of a nest of arrays."""
    return (row(nest, index) for index in range(count))


def then(before: Iterable[Any], after: Callable[[Iterator[Any]], Iterator[Any]]) -> Iterator[Any]:
    """Begin a pass over what a function makes of another's."""
    return after(iter(before))


def called(function: Callable[..., Any], item: Element) -> Element:
    """Call a function with an element: the parts of a tuple are its arguments."""
    return function(*item) if isinstance(item, tuple) else function(item)


def mapped(items: Iterator[Any], function: Callable[..., Any], threads: int) -> Iterator[Any]:
    """Yield what a function makes of each element."""
    if not threads:
        return map(functools.partial(called, function), items)
    return ahead((functools.partial(called, function, item) for item in items), threads, 2 * threads)


def filtered(items: Iterator[Any], predicate: Callable[..., Any]) -> Iterator[Any]:
    """Yield the elements for which a function returns True."""
    return (item for item in items if bool(called(predicate, item)))


def grouped(items: Iterator[Any], size: int, stack: Callable[[list[Any]], Any], drop_remainder: bool) -> Iterator[Any]:
    """Yield batches."""
    while found := list(itertools.islice(items, size)):
        if len(found) == size or not drop_remainder:
            yield stack(found)


def ungrouped(items: Iterator[Any]) -> Iterator[Any]:
    """Yield the samples of batches."""
    for item in items:
        yield from rows(item, len(next(iter(_tree.leaves(item)))))


def part(items: Iterator[Any], start: int, stop: int | None) -> Iterator[Any]:
    """Yield the elements from one position to another."""
    return itertools.islice(items, start, stop)


def repeated(items: Iterable[Any], times: int | None) -> Iterator[Any]:
    """Yield the elements several times over, without end where that is None."""
    for _ in itertools.count() if times is None else range(times):
        empty = True
        for item in items:
            empty = False
            yield item
        if empty:
            return


class Cached:
    """The elements of the first whole pass, which later ones yield again."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items
        self.saved: list[Any] | None = None

    def __call__(self) -> Iterator[Any]:
        """Begin a pass."""
        if self.saved is not None:
            yield from self.saved
            return
        found = []
        for item in self.items:
            found.append(item)
            yield item
        self.saved = found


class Draws:
    """A generator for each pass, in which an order is drawn anew or the first pass's again."""

    def __init__(self, seed: int, *, anew: bool = True) -> None:
        self.seed, self.anew = seed, anew
        self.passes = 0

    def __call__(self) -> np.random.Generator:
        """Begin a pass."""
        draw = np.random.default_rng([abs(self.seed) % 2**63, self.passes if self.anew else 0])
        self.passes += 1
        return draw


class Shuffled:
    """Elements in an order that is drawn."""

    def __init__(self, size: int, draws: Draws) -> None:
        self.size, self.draws = size, draws

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        """Yield the elements of a pass."""
        draw = self.draws()
        waiting = list(itertools.islice(items, self.size))
        for item in items:
            index = int(draw.integers(len(waiting)))
            found, waiting[index] = waiting[index], item
            yield found
        yield from (waiting[index] for index in draw.permutation(len(waiting)))
