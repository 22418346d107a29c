"""Nested structures in Keras's words: lists, tuples, named tuples, dicts and deques; everything else is a leaf."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._tree import of_parts

Nest: TypeAlias = Any
Path: TypeAlias = tuple[int | str, ...]

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip
__dir__ = __all__.copy


class MAP_TO_NONE:  # noqa: N801 - Keras's name
    """What the function of ``traverse`` returns for what shall become None.

    Example:
        >>> traverse(lambda leaf: MAP_TO_NONE if leaf == 1 else None, [1, 2])
        [None, 2]
    """


@checked
def is_nested(structure: Nest) -> bool:
    """Return whether a value is a list, tuple, dict or deque.

    Args:
        structure: any value.

    Example:
        >>> is_nested({"a": 1}), is_nested("a")
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict, deque))


def _keys(structure: Nest) -> list[Any]:
    """Return the keys of the parts in order: those of a dict sorted, unless it keeps an order of its own."""
    if not isinstance(structure, dict):
        return list(range(len(structure)))
    return list(structure) if isinstance(structure, OrderedDict) else sorted(structure)


def _with(structure: Nest, parts: dict[Any, Nest]) -> Nest:
    """Return a nest of the same kind with other parts, by the same keys."""
    if isinstance(structure, dict):
        found = {key: parts[key] for key in structure}
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, found)
        return OrderedDict(found) if isinstance(structure, OrderedDict) else found
    if isinstance(structure, deque):
        return deque(parts.values(), structure.maxlen)
    return of_parts(structure, list(parts.values()))


@checked
def flatten(structure: Nest) -> list[Any]:
    """Return the leaves, those of dicts by their sorted keys.

    Args:
        structure: the nest.

    Example:
        >>> flatten({"b": [1, 2], "a": 3})
        [3, 1, 2]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


@checked
def flatten_with_path(structure: Nest) -> list[tuple[Path, Any]]:
    """Return the leaves, each with the keys and indices that lead to it.

    Args:
        structure: the nest.

    Example:
        >>> flatten_with_path([{"foo": 42}])
        [((0, 'foo'), 42)]
    """
    found: list[tuple[Path, Any]] = []
    stack: list[tuple[Path, Nest]] = [((), structure)]
    while stack:
        path, nest = stack.pop()
        if is_nested(nest):
            if len(path) > _DEEP:
                _refuse_loop(structure, path)
            stack.extend(((*path, key), nest[key]) for key in reversed(_keys(nest)))
        else:
            found.append((path, nest))
    return found


_DEEP = 500  # levels, from which on a nest is asked whether it holds itself


def _refuse_loop(structure: Nest, path: Path) -> None:
    """Raise where a nest holds itself along a path."""
    held = {id(structure)}
    for level, key in enumerate(path):
        structure = structure[key]
        if id(structure) in held:
            raise ArgumentError(f"The nest holds itself, {level + 1} levels below its top.", got=type(structure).__name__)
        held.add(id(structure))


@checked
def map_structure(func: Callable[..., Any], *structures: Nest, none_is_leaf: bool = True) -> Nest:
    """Return the nest of what a function gives of the leaves of one nest or of several alike.

    Args:
        func: takes a leaf of each nest.
        *structures: the nests.
        none_is_leaf: whether None is a leaf, or stays None.

    Example:
        >>> map_structure(lambda a, b: a + b, {"a": 1}, {"a": 2})
        {'a': 3}
    """
    _some(structures)

    def mapped(*nests: Nest) -> Nest:
        if not is_nested(nests[0]):
            if any(map(is_nested, nests)):
                raise _differ(nests)
            return None if nests[0] is None and not none_is_leaf else func(*nests)
        return _with(nests[0], {key: mapped(*(nest[key] for nest in nests)) for key in _keys_of_all(nests)})

    return mapped(*structures)


@checked
def map_structure_up_to(shallow_structure: Nest, func: Callable[..., Any], *structures: Nest) -> Nest:
    """Return the nest of what a function gives of the parts of nests where a shallower one has leaves.

    Args:
        shallow_structure: says how deep.
        func: takes a part of each nest.
        *structures: the nests.

    Example:
        >>> map_structure_up_to([None, None], len, [[1, 1], [2]])
        [2, 1]
    """
    _some(structures)

    def mapped(shallow: Nest, *nests: Nest) -> Nest:
        if not is_nested(shallow):
            return func(*nests)
        keys = _keys_of_all((shallow, *nests))
        return _with(shallow, {key: mapped(shallow[key], *(nest[key] for nest in nests)) for key in keys})

    return mapped(shallow_structure, *structures)


@checked
def traverse(func: Callable[[Nest], Nest], structure: Nest, top_down: bool = True) -> Nest:
    """Return a nest in which a function replaces parts; where it returns None, a part stays and its own parts are visited.

    Args:
        func: takes a part, nests as well as leaves.
        structure: the nest.
        top_down: whether a nest is visited before its parts, which are not visited where it is replaced.

    Example:
        >>> traverse(lambda part: "two" if part == 2 else None, [1, (2, 3)])
        [1, ('two', 3)]
    """

    def inside(nest: Nest) -> Nest:
        if not is_nested(nest):
            return nest
        return _with(nest, {key: traverse(func, nest[key], top_down) for key in _keys(nest)})

    visited = structure if top_down else inside(structure)
    found = func(visited)
    if found is None:
        return inside(structure) if top_down else visited
    return None if found is MAP_TO_NONE else found


@checked
def pack_sequence_as(structure: Nest, flat_sequence: Iterable[Any]) -> Nest:
    """Return a nest like another, with leaves from a list in the order of ``flatten``.

    Args:
        structure: the nest.
        flat_sequence: as many leaves.

    Example:
        >>> pack_sequence_as({"b": 0, "a": [0, 0]}, [1, 2, 3])
        {'b': 3, 'a': [1, 2]}
    """
    values, count = list(flat_sequence), len(flatten(structure))
    if len(values) != count:
        raise ArgumentError("flat_sequence must have a value for each leaf.", expected=f"{count}", got=f"{len(values)}")
    following = iter(values)

    def packed(nest: Nest) -> Nest:
        return _with(nest, {key: packed(nest[key]) for key in _keys(nest)}) if is_nested(nest) else next(following)

    return packed(structure)


@checked
def assert_same_structure(a: Nest, b: Nest, check_types: bool | None = None) -> None:
    """Raise unless two nests are of the same kinds, sizes and keys.

    Args:
        a: a nest.
        b: another.
        check_types: accepted as in Keras; kinds are always compared.

    Example:
        >>> assert_same_structure([(0, 1)], [(2, 3)])
    """
    map_structure(lambda first, second: None, a, b)


@checked
def assert_same_paths(a: Nest, b: Nest) -> None:
    """Raise unless the same keys and indices lead to the leaves of two nests, of whatever kinds.

    Args:
        a: a nest.
        b: another.

    Example:
        >>> assert_same_paths([0, 1], (2, 3))
    """
    first, second = ({path for path, _ in flatten_with_path(nest)} for nest in (a, b))
    if first != second:
        raise ArgumentError(
            "a and b have different paths.", got=f"only in a {shown(sorted(first - second, key=str))}, "
            f"only in b {shown(sorted(second - first, key=str))}",
        )  # fmt: skip


@checked
def lists_to_tuples(structure: Nest) -> Nest:
    """Return the nest with tuples for lists.

    Args:
        structure: the nest.

    Example:
        >>> lists_to_tuples([1, {"a": [2]}])
        (1, {'a': (2,)})
    """
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


@checked
def map_shape_structure(func: Callable[[Any], Any], structure: Nest) -> Nest:
    """Return the nest of what a function gives of the shapes in a nest: tuples and lists of integers and None.

    Args:
        func: takes a shape.
        structure: the nest.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(2,)]})
        {'a': 2, 'b': [1]}
    """

    def mapped(part: Nest) -> Nest:
        shape = isinstance(part, (list, tuple)) and all(size is None or isinstance(size, int) for size in part)
        if shape:
            return func(part)
        if not is_nested(part):
            raise ArgumentTypeError(
                "structure must be a nest of shapes: of tuples or lists of integers and None.", got=shown(part)
            )
        return _with(part, {key: mapped(part[key]) for key in _keys(part)})

    flatten_with_path(structure)  # which refuses a nest that holds itself
    return mapped(structure)


def _some(structures: tuple[Nest, ...]) -> None:
    if not structures:
        raise ArgumentTypeError("There is no structure to map.", expected="one structure at least")


def _keys_of_all(nests: tuple[Nest, ...]) -> list[Any]:
    """Return the keys of nests that are of one kind, size and keys; raise where they are not."""
    first, *others = nests
    for other in others:
        kinds = isinstance(first, dict) and isinstance(other, dict)
        if not kinds and type(first) is not type(other):
            raise _differ(nests)
        if set(_keys(first)) != set(_keys(other)):
            raise _differ(nests)
    return _keys(first)


def _differ(nests: tuple[Nest, ...]) -> ArgumentError:
    return ArgumentError("The structures are not nested in the same way.", got=" and ".join(map(shown, nests)))
