"""Layers that move values and change none: flatten, reshape, permute, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank, product
from anabranch.layers.core import Keeping
from anabranch.layers.fields import DataFormatField, Field, data_format, field, integer
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

IntegersField: TypeAlias = "Field[int | Sequence[int], tuple[int, ...]]"


class Flatten(Keeping):
    """Flatten each sample, row by row: (B, …) -> (B, n); with channels first the channels are moved last before.

    Example:
        >>> from anabranch import Input
        >>> Flatten()(Input((4, 3))).shape
        (None, 12)
    """

    data_format: DataFormatField = data_format(default=None)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, a, b, …) -> (B, a · b · …)."""
        return (input_shape[0], product(input_shape[1:]))

    def call(self, inputs: Tensor) -> Tensor:
        """Flatten."""
        return kernels.flatten(inputs, self.data_format == "channels_first")


def _target(value: object, owner: object, name: str) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, Sequence) else (value,)
    known = all(isinstance(size, int) and not isinstance(size, bool) and (size > 0 or size == -1) for size in found)
    if not known or found.count(-1) > 1:
        raise ArgumentError("A target shape has positive sizes and at most one -1.", got=repr(value))
    return found


class Reshape(Keeping):
    """Give each sample another shape: (B, …) -> (B, *target_shape); one -1 is the size that is left.

    Example:
        >>> from anabranch import Input
        >>> Reshape((2, -1))(Input((12,))).shape
        (None, 2, 6)
    """

    target_shape: IntegersField = field(convert=_target, plain=list, doc="the sizes after the batch; at most one is -1.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …) -> (B, *target_shape)."""
        total, wanted = product(input_shape[1:]), product([size for size in self.target_shape if size != -1])
        free = -1 in self.target_shape
        if total is None or wanted is None:
            return (input_shape[0], *(None if size == -1 else size for size in self.target_shape))
        if (free and total % wanted) or (not free and total != wanted):
            last = self.target_shape[-1] if self.target_shape else 0
            raise ShapeError(
                f"{total} values do not fit into {self.target_shape}.",
                expected=f"a shape of {total} values", got=f"{input_shape} into {self.target_shape}",
                repair=f"Reshape((-1, {last}))(x) keeps all values" if last > 0 and total % last == 0 else None,
            )  # fmt: skip
        return (input_shape[0], *(total // wanted if size == -1 else size for size in self.target_shape))

    def call(self, inputs: Tensor) -> Tensor:
        """Reshape."""
        known = runtime.shape_of(inputs)
        wanted = self.target_shape if known is None else self.compute_output_shape(known)[1:]
        return kernels.reshape(inputs, tuple(None if size == -1 else size for size in wanted))


def _dims(value: object, owner: object, name: str) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, Sequence) else (value,)
    if not all(isinstance(axis, int) for axis in found) or sorted(found) != list(range(1, len(found) + 1)):
        raise ArgumentError("dims names each axis after the batch once, from 1.", got=repr(value))
    return found


class Permute(Keeping):
    """Put the axes after the batch in another order: axis i of the output is axis ``dims[i - 1]`` of the input.

    Example:
        >>> from anabranch import Input
        >>> Permute((2, 1))(Input((10, 4))).shape
        (None, 4, 10)
    """

    dims: IntegersField = field(convert=_dims, plain=list, doc="the input's axes in their new order, counted from 1.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the sizes in their new order."""
        if len(input_shape) != len(self.dims) + 1:
            raise ShapeError(
                "dims names each axis after the batch.", expected=f"rank {len(self.dims) + 1}", got=str(input_shape)
            )
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def call(self, inputs: Tensor) -> Tensor:
        """Permute."""
        return kernels.permute(inputs, (0, *self.dims))


class RepeatVector(Keeping):
    """Repeat each sample: (B, C) -> (B, n, C).

    Example:
        >>> from anabranch import Input
        >>> RepeatVector(5)(Input((4,))).shape
        (None, 5, 4)
    """

    n: Field[int, int] = integer(doc="how many times.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, C) -> (B, n, C)."""
        check_rank(input_shape, 2, "batch, features")
        return (input_shape[0], self.n, input_shape[1])

    def call(self, inputs: Tensor) -> Tensor:
        """Repeat."""
        return kernels.repeat_vector(inputs, self.n)
