"""Layers that hold another layer and apply it in a way of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import registry, runtime
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch.graph import Shape
from anabranch.layers.base import Layer
from anabranch.layers.fields import Field, FieldLayer, field
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


def to_layer(value: object, owner: object, name: str) -> Layer:
    """Return the layer that a setting is, or that its JSON describes."""
    found = registry.deserialize(value) if isinstance(value, dict) else value
    if not isinstance(found, Layer):
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a layer.", got=shown(value))
    return found


class Wrapper(FieldLayer):
    """Hold a layer: the base of layers that apply another one. Subclasses write ``call``.

    Example:
        >>> from anabranch import Input, layers
        >>> class Twice(layers.Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> Twice(layers.Dense(4))(Input((4,))).shape
        (None, 4)
    """

    layer: Field[Layer, Layer] = field(convert=to_layer, fixed=True, doc="the layer to apply.")

    def build(self, input_shape: Shape | None = None) -> None:
        """Build the layer for an input of the same shape."""
        if not self.layer.built:
            self.layer.build(input_shape)


def cast_for(layer: Layer, inputs: Tensor, computed: str) -> Tensor:
    """Return an input, which has come as ``computed``, in the float type that a layer inside computes in."""
    if computed == layer.compute_dtype or layer._takes_integers_:
        return inputs
    return runtime.shaped(kernels.cast(inputs, layer.compute_dtype), runtime.shape_of(inputs))
