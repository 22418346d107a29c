"""Nested structures (lists, tuples, named tuples, dicts): their leaves in order, and the same nest with other leaves.

Dicts keep the order in which their keys were written; only ``leaves_by_key`` sorts.
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
    if not isinstance(nest, (list, tuple, dict)):  # as most values are
        return [nest]
    found: list[Any] = []
    try:
        _collect(nest, found)
    except RecursionError:
        raise too_deep() from None
    return found


def _collect(nest: Nest, found: list[Any]) -> None:
    for part in nest.values() if isinstance(nest, dict) else nest:
        if isinstance(part, (list, tuple, dict)):
            _collect(part, found)
        else:
            found.append(part)


_say: list[Callable[[str], Exception]] = [RecursionError]  # ``_arguments``, which knows our errors, puts one of these here


def too_deep() -> Exception:
    """Return the error for a nest that holds itself."""
    return _say[0]("A list or dict holds itself, or is nested too deeply.")


def say_too_deep_by(error: Callable[[str], Exception]) -> None:
    """Have ``too_deep`` return what a class of errors makes of its words."""
    _say[0] = error


def leaves_by_key(nest: Nest) -> list[Any]:
    """Return the leaves in Keras's order, which takes dicts by their sorted keys.

    >>> leaves_by_key({"b": 1, "a": [2, (3,)]})
    [2, 3, 1]
    """
    if isinstance(nest, dict):
        nest = [nest[key] for key in sorted(nest, key=str)]
    try:
        return [leaf for part in nest for leaf in leaves_by_key(part)] if isinstance(nest, (list, tuple)) else [nest]
    except RecursionError:
        raise too_deep() from None


def map_leaves(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Return the same nest with ``function`` applied to each leaf.

    >>> map_leaves(abs, {"a": [-1, (2,)]})
    {'a': [1, (2,)]}
    """
    if not isinstance(nest, (list, tuple, dict)):
        return function(nest)
    try:
        if isinstance(nest, dict):
            return {key: map_leaves(function, value) for key, value in nest.items()}
        return of_parts(nest, [map_leaves(function, value) for value in nest])
    except RecursionError:
        raise too_deep() from None


def of_parts(nest: Nest, parts: list[Any]) -> Nest:
    """Return a list, tuple or named tuple like ``nest``, of other parts.

    >>> of_parts((1, 2), [3, 4])
    (3, 4)
    """
    return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)  # named tuples share no class


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


def holds_itself(nest: Nest) -> bool:
    """Return whether a list, tuple or dict is among its own parts.

    >>> nest = [1]
    >>> nest.append([nest])
    >>> holds_itself(nest), holds_itself([[1], [1]])
    (True, False)
    """
    path: list[int] = []
    stack: list[tuple[int, Nest]] = [(0, nest)]
    seen: set[int] = set()
    while stack:
        depth, part = stack.pop()
        if not is_nest(part):
            continue
        del path[depth:]
        if id(part) in path:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            path.append(id(part))
            stack += [(depth + 1, each) for each in (part.values() if isinstance(part, dict) else part)]
    return False
