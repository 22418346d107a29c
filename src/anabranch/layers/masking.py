"""Masking: steps of a series that are padding are marked as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import runtime
from anabranch._errors import ShapeError
from anabranch.graph import Shape, Tensor as Symbol
from anabranch.layers.fields import Field, number
from anabranch.layers.mask_rule import mask_like
from anabranch.layers.pointwise import Pointwise
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Masking(Pointwise):
    """Mark padding: (B, T, C) gets a mask (B, T), false at steps all of whose values are ``mask_value``; these become 0.

    Example:
        >>> from anabranch import Input
        >>> Masking()(Input((20, 4))).shape
        (None, 20, 4)
    """

    mask_value: Field[float, float] = number(default=0.0, doc="the value of padding.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        if len(input_shape) < 2:
            raise ShapeError("Masking marks steps of a series.", expected="(batch, …, features)", got=str(input_shape))
        return input_shape

    def call(self, inputs: Tensor) -> Tensor:
        """Set the marked steps to 0."""
        mask = runtime.unequal(inputs, self.mask_value)
        result = kernels.keep(inputs, mask)
        runtime.note_mask(result, mask)
        return result

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return where a step differs from ``mask_value`` in one value at least."""
        if isinstance(inputs, Symbol):
            return (inputs != self.mask_value).any(-1)
        return runtime.unequal(runtime.as_tensors(inputs), self.mask_value)

    def _symbolic_mask_(self, inputs: Symbol, mask: object, **more: object) -> Symbol:
        """Return a mask of the steps."""
        return mask_like(inputs.shape[:-1], inputs.node.site)
