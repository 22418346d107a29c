"""What the layers that compute element by element have in common."""

from __future__ import annotations

from anabranch.graph import Shape
from anabranch.layers import fields


class Pointwise(fields.FieldLayer):
    """A layer that computes element by element, in floats: its output has its input's shape. Abstract."""

    _takes_integers_ = False
    _takes_one_tensor_ = True
    supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape
