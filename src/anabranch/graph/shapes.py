"""Shapes as tuples of sizes, None where a size is unknown until data comes (the batch), and the rules that families share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from anabranch import _tree
from anabranch._asked import GREATEST, answers, has_shape, is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from anabranch.graph.call_site import call_site

Shape: TypeAlias = tuple[int | None, ...]


def same(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be equal; None fits every size."""
    return len(a) == len(b) and all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))


def same_but_batch(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be equal, apart from the batch's size, which an Input may declare and data need not have.

    >>> same_but_batch((2, 3), (4, 3)), same_but_batch((2, 3), (2, 4))
    (True, False)
    """
    return len(a) == len(b) and same(a[1:], b[1:])


def agreed(*shapes: Iterable[int | None]) -> Shape:
    """Return the sizes that shapes of one number of axes have in common, None where they differ.

    >>> agreed((2, 3), (2, 4))
    (2, None)
    """
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True))


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the shape of an element-wise result: sizes align from the right, 1 stretches.

    >>> broadcast((None, 8, 8, 3), (3,))
    (None, 8, 8, 3)
    """
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(_broadcast_size(m, n, a, b) for m, n in zip(left, right, strict=True))


def _broadcast_size(m: int | None, n: int | None, a: Shape, b: Shape) -> int | None:
    if m == n or n == 1:
        return m
    if m == 1:
        return n
    if m is None or n is None:
        return n if m is None else m
    raise ShapeError(f"Shapes {a} and {b} cannot be combined element by element: {m} meets {n}.")


def product(shape: Sequence[int | None]) -> int | None:
    """Return the number of elements, None where a size is unknown.

    >>> product((3, 4))
    12
    """
    total = 1
    for size in shape:
        if size is None:
            return None
        total *= size
    return total


def window_length(length: int | None, window: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """Return how many positions a sliding window takes along one axis.

    ``valid``: (length - ((window - 1) * dilation + 1)) // stride + 1; ``same``: ceil(length / stride);
    ``causal`` pads on the left only and keeps the length that ``same`` gives.
    """
    if length is None:
        return None
    if padding in ("same", "causal"):
        return -(-length // stride)
    return (length - ((window - 1) * dilation + 1)) // stride + 1


def same_padding(length: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return Keras's padding before and after for ``same``: the odd element goes after.

    >>> same_padding(10, 3, 2)
    (0, 1)
    """
    total = max((-(-length // stride) - 1) * stride + (window - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2


class WrongRank:
    """A shape of another rank than the one wanted, whose axes are named: ``batch, height, width, channels``."""

    def __init__(self, shape: Shape, rank: int, axes: str) -> None:
        self.shape, self.rank, self.axes = shape, rank, axes


def check_rank(shape: Shape, rank: int, axes: str) -> None:
    """Raise unless ``shape`` has ``rank`` dimensions; ``axes`` names them, e.g. ``batch, height, width, channels``."""
    if len(shape) != rank:
        raise ShapeError(
            f"Expected a {rank}-D input, got {len(shape)}-D {shape}.", expected=f"({axes})", clue=WrongRank(shape, rank, axes)
        )


def to_shape(value: object, name: str, where: object = None) -> Shape:
    """Return a shape: integers ≥ 0, None where a size is not known; raise where ``value``, the argument ``name``, is none.

    >>> to_shape([None, 8], "input_shape")
    (None, 8)
    """
    place = None if where is None else str(where)
    wrong = isinstance(value, (str, bytes, Mapping)) or (has_shape(value) and len(value.shape) != 1)
    if not isinstance(value, Iterable) or wrong:
        repair = "mind the comma" if is_integer(value) else None
        expected = f"({value},)" if is_integer(value) else "(sizes, …)"
        raise ArgumentTypeError(
            f"{name} must be a tuple of sizes.", expected=expected, got=shown(value), where=place, repair=repair
        )
    sizes = tuple(value)
    for size in sizes:
        if size is not None and (not is_integer(size) or operator.index(size) < 0):
            raise ArgumentError(
                f"{name} must have integers, or None where a size is not known.", expected="sizes ≥ 0", got=shown(value),
                where=place, repair="None means a size that is not known" if type(size) is int and size == -1 else None,
            )  # fmt: skip
    return tuple(None if size is None else operator.index(size) for size in sizes)


_SIZES = frozenset((int, type(None)))


class NamedShapes(dict[str, Any]):
    """What a ``build`` of several arguments was given, by name."""

    __slots__ = ()


def map_shapes(shape: Any, make: Callable[[Any], Any]) -> Any:
    """Return ``make`` of a shape, or of each in a nest of shapes, lists for tuples.

    >>> map_shapes({"a": (None, 2), "b": [[None], [3]]}, tuple)
    {'a': (None, 2), 'b': [(None,), (3,)]}
    """
    if isinstance(shape, dict):
        return {key: map_shapes(part, make) for key, part in shape.items()}
    if shape and all(isinstance(part, (tuple, list, dict)) for part in shape):
        return [map_shapes(part, make) for part in shape]
    return make(shape)


def check_shapes(value: object, name: str, where: object = None) -> None:
    """Raise unless ``value``, the argument ``name``, is a shape with the batch first, or a nest of such shapes."""
    stack = [value]
    if _tree.holds_itself(value):
        raise _tree.too_deep()
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple)) and _SIZES.issuperset(map(type, item)):  # as most are
            continue
        if isinstance(item, dict) and item:
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)) and any(isinstance(part, (list, tuple, dict)) for part in item):
            stack.extend(item)
        elif not isinstance(item, (list, tuple)) or not all(map(_is_size, item)):
            raise ArgumentTypeError(
                f"{name} must be a shape.", got=shown(value), where=None if where is None else str(where),
                expected="(batch, …), None where a size is not known, or a list of shapes where the input is a list",
            )  # fmt: skip


def _is_size(value: object) -> bool:
    return value is None or answers(value, "__index__")


def normalise_axis(axis: int, rank: int) -> int:
    """Return ``axis`` counted from the front.

    >>> normalise_axis(-1, 4)
    3
    """
    if not -rank <= axis < rank:
        raise OutOfRangeError("No such axis.", expected=f"an axis in [{-rank}, {rank - 1}]", got=str(axis))
    return axis % rank


def per_axis(value: int | Sequence[int], rank: int, name: str, *, least: int = 1) -> tuple[int, ...]:
    """Return ``value`` as one integer per spatial axis.

    >>> per_axis(3, 2, "kernel_size")
    (3, 3)
    """
    if type(value) is int and least <= value < GREATEST:  # as most are
        return (value,) * rank
    if not is_integer(value) and not isinstance(value, (list, tuple)):
        raise ArgumentError(
            f"{name} is not a size.", expected=f"an int or {rank} ints", got=shown(value), where=str(call_site())
        )
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (operator.index(value),) * rank  # type: ignore[arg-type]
    if len(sizes) != rank or not all(is_integer(s) and s >= least for s in sizes):
        raise ArgumentError(
            f"{name} does not fit {rank} spatial axes.",
            expected=f"an int or {rank} ints, each ≥ {least}",
            got=shown(value),
            where=str(call_site()),
        )
    return sizes


def stretches(given: Shape, shape: Shape) -> bool:
    """Return whether values of one shape, known sizes alone, stretch what has another where torch broadcasts both.

    >>> stretches((None, 1), (2, 3)), stretches((2, 3), (1, 3)), stretches((1, 2, 3), (2, 3))
    (False, True, True)
    """
    pairs = zip(given[::-1], shape[::-1], strict=False)
    return len(given) > len(shape) or any(None not in (size, wanted) and size not in (1, wanted) for size, wanted in pairs)
