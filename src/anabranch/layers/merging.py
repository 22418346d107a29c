"""Merges of branches: element by element, along an axis, or as a product over one."""

from __future__ import annotations

import functools
import operator
from typing import Any, ClassVar

from anabranch import ops
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.base import Layer

AXIS_NAMES = {
    2: ("batch", "features"), 3: ("batch", "steps", "features"), 4: ("batch", "height", "width", "channels"),
    5: ("batch", "depth", "height", "width", "channels"),
}  # fmt: skip


class Merge(Layer):
    """Combine a list of tensors element by element; sizes of 1 stretch. Abstract: Add, Multiply, …"""

    least: ClassVar[int] = 2

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The shapes broadcast; those of lower rank gain axes of size 1 after the batch, as in Keras."""
        check_branches(self, input_shape, self.least)
        rank = max(len(shape) for shape in input_shape)
        return functools.reduce(self._merged, [_raised(shape, rank) for shape in input_shape])

    def _merged(self, a: Shape, b: Shape) -> Shape:
        return tuple(_one_size(self, m, n, axis, a, b) for axis, (m, n) in enumerate(zip(a, b, strict=True)))

    def call(self, inputs: list[Any]) -> Any:
        """Merge the branches in order."""
        return functools.reduce(self.merge, ops.as_equal_ranks(inputs))

    def merge(self, a: Any, b: Any) -> Any:
        """Merge two branches."""
        raise NotImplementedError(f"{type(self).__name__} must write merge(a, b)")


class Add(Merge):
    """a + b + …: a residual join."""

    def merge(self, a: Any, b: Any) -> Any:
        """Add."""
        return a + b


class Subtract(Merge):
    """a - b."""

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """Two branches, no more."""
        if isinstance(input_shape, list) and len(input_shape) > 2:
            raise ArgumentError("Subtract takes two branches.", got=str(len(input_shape)))
        return super().compute_output_shape(input_shape)

    def merge(self, a: Any, b: Any) -> Any:
        """Subtract."""
        return a - b


class Multiply(Merge):
    """a · b · …: a gate."""

    def merge(self, a: Any, b: Any) -> Any:
        """Multiply."""
        return a * b


class Average(Merge):
    """(a + b + …) / n."""

    def call(self, inputs: list[Any]) -> Any:
        """Take the mean."""
        return functools.reduce(operator.add, ops.as_equal_ranks(inputs)) / len(inputs)


class Maximum(Merge):
    """The greatest of each place."""

    def merge(self, a: Any, b: Any) -> Any:
        """Take the greater."""
        return ops.maximum(a, b)


class Minimum(Merge):
    """The least of each place."""

    def merge(self, a: Any, b: Any) -> Any:
        """Take the lesser."""
        return ops.minimum(a, b)


class Concatenate(Layer):
    """Branches side by side along ``axis``."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentTypeError("axis of Concatenate is one axis.", got=repr(axis), where=str(self.made_at))
        self.axis = axis

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """All sizes agree but those along the axis, which add up."""
        check_branches(self, input_shape, 1)
        first = input_shape[0]
        axis = normalise_axis(self.axis, len(first))
        joined = list(first)
        total: int | None = 0
        for shape in input_shape:
            if len(shape) != len(first):
                raise ShapeError("Concatenate joins branches of one rank.", got=f"{first} and {shape}")
            for place, (m, n) in enumerate(zip(first, shape, strict=True)):
                if place != axis and m is not None and n is not None and m != n:
                    raise parted(self, place, first, shape)
                if place != axis and m is None:
                    joined[place] = n
            size = shape[axis]
            total = None if total is None or size is None else total + size
        joined[axis] = total
        return tuple(joined)

    def call(self, inputs: list[Any]) -> Any:
        """Join."""
        return ops.concatenate(list(inputs), self.axis)


class Dot(Layer):
    """Σ a · b over one axis of each of two branches, sample by sample; ``normalize`` makes it the cosine of the angle.

    The other axes of a, then those of b, remain: (B, i, k) and (B, j, k) with ``axes=2`` give (B, i, j); (B, k) and (B, k) give
    (B, 1).
    """

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ArgumentError("axes of Dot is an axis, or one for each branch.", got=repr(axes), where=str(self.made_at))
        self.axes, self.normalize = pair, normalize
        self._places: tuple[tuple[int, int], tuple[int, int]] | None = None

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        """The shapes without the axes summed over, the batch once."""
        check_branches(self, input_shape, 2)
        a, b = input_shape
        first, second = normalise_axis(self.axes[0], len(a)), normalise_axis(self.axes[1], len(b))
        if first == 0 or second == 0:
            raise ArgumentError("Dot cannot sum over the batch.", got=f"axes={self.axes}")
        if a[first] is not None and b[second] is not None and a[first] != b[second]:
            raise ShapeError(
                f"Dot sums over axes of one size: {a[first]} meets {b[second]}.", got=f"{a} and {b}, axes={self.axes}"
            )
        self._places = (first, second), (len(a), len(b))
        rest = (*a[1:first], *a[first + 1 :], *b[1:second], *b[second + 1 :])
        return (a[0], *rest) if rest else (a[0], 1)

    def call(self, inputs: list[Any]) -> Any:
        """Multiply and sum."""
        a, b = inputs
        places, ranks = self._places or ((self.axes[0] % a.ndim, self.axes[1] % b.ndim), (a.ndim, b.ndim))
        return ops.batch_dot(a, b, places, ranks, self.normalize)


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of a list of tensors; see :class:`Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return the difference of two tensors; see :class:`Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return the product of a list of tensors; see :class:`Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of a list of tensors; see :class:`Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return the greatest of a list of tensors; see :class:`Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return the least of a list of tensors; see :class:`Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Return a list of tensors side by side; see :class:`Concatenate`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Return the product of two tensors summed over an axis of each; see :class:`Dot`."""
    return Dot(axes=axes, **kwargs)(inputs)


def check_branches(layer: Layer, shapes: Any, least: int) -> None:
    """Raise unless ``shapes`` are those of at least ``least`` branches."""
    name = type(layer).__name__
    if not isinstance(shapes, list) or (shapes and not isinstance(shapes[0], tuple)):
        raise ArgumentError(
            f"{name} merges branches, so it is called on a list.", expected="[a, b]", got=f"one tensor {shapes}"
        )
    if len(shapes) < least:
        raise ArgumentError(f"{name} merges at least {least} branches.", got=str(len(shapes)))


def parted(layer: Layer, axis: int, a: Shape, b: Shape) -> ShapeError:
    """Build the error of branches that differ along ``axis``, with what would mend it."""
    names = AXIS_NAMES.get(len(a), tuple(f"axis {i}" for i in range(len(a))))
    word = names[axis]
    mend = 'padding="same" and equal strides in both branches, or cropping'
    if word in ("channels", "features"):
        mend = f"as many filters or units in both: Conv2D({a[axis]}, 1) or Dense({a[axis]}) on the second branch projects it"
    return ShapeError(
        f"{type(layer).__name__} cannot merge {a} and {b}: they differ in {word}, {a[axis]} and {b[axis]}.",
        expected=f"equal {word}",
        got=f"({', '.join(names)}) = {a} and {b}",
        repair=mend,
    )


def _raised(shape: Shape, rank: int) -> Shape:
    return (shape[0], *(1,) * (rank - len(shape)), *shape[1:]) if shape else (1,) * rank


def _one_size(layer: Layer, m: int | None, n: int | None, axis: int, a: Shape, b: Shape) -> int | None:
    if m == n or n == 1:
        return m
    if m == 1 or m is None:
        return n
    if n is None:
        return m
    raise parted(layer, axis, a, b)
