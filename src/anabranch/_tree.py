"""Nested structures (lists, tuples, named tuples, dicts): their leaves in order, and the same nest with other leaves.

Dicts keep the order in which their keys were written; nothing here sorts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Nest = Any


def leaves(nest: Nest) -> list[Any]:
    """Return the leaves in order.

    >>> leaves({"b": 1, "a": [2, (3,)]})
    [1, 2, 3]
    """
    found: list[Any] = []
    stack = [nest]
    pop = stack.pop
    while stack:
        item = pop()
        if isinstance(item, (list, tuple)):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            stack.extend(reversed(item.values()))
        else:
            found.append(item)
    return found


def map_leaves(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Return the same nest with ``function`` applied to each leaf.

    >>> map_leaves(abs, {"a": [-1, (2,)]})
    {'a': [1, (2,)]}
    """
    if isinstance(nest, dict):
        return {key: map_leaves(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):  # named tuples share no class
        return type(nest)(*(map_leaves(function, value) for value in nest))
    if isinstance(nest, (list, tuple)):
        return type(nest)(map_leaves(function, value) for value in nest)
    return function(nest)


def fill(nest: Nest, values: Iterable[Any]) -> Nest:
    """Return the same nest with its leaves taken from ``values`` in order.

    >>> fill({"a": [0, 0]}, [1, 2])
    {'a': [1, 2]}
    """
    following: Iterator[Any] = iter(values)
    return map_leaves(lambda _: next(following), nest)


def is_nest(value: Any) -> bool:
    """Return whether ``value`` is a list, tuple or dict rather than a leaf."""
    return isinstance(value, (list, tuple, dict))
