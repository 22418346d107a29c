"""Activations as layers with options or weights of their own."""

from __future__ import annotations

from typing import Any

from anabranch import initializers, regularizers
from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.base import Layer
from anabranch.ops import _kernels as kernels


class Pointwise(Layer):
    """A layer that computes element by element, in floats: its output has its input's shape. Abstract."""

    takes_integers = False
    takes_one_tensor = True
    supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        return input_shape


class ReLU(Pointwise):
    """max(x, 0), cut at ``max_value``; below ``threshold`` it is negative_slope · (x - threshold)."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope), ("threshold", threshold)):
            if value is not None and value < 0:
                raise ArgumentError(f"{name} of ReLU is not negative.", got=repr(value), where=str(self.made_at))
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs: Any) -> Any:
        """Rectify."""
        return kernels.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Pointwise):
    """x above 0, negative_slope · x below (Maas et al. 2013)."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # Keras 2's name
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ArgumentError("negative_slope is a number ≥ 0.", got=repr(negative_slope), where=str(self.made_at))
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        """Rectify."""
        return kernels.relu(inputs, self.negative_slope)


class ELU(Pointwise):
    """x above 0, alpha · (exp(x) - 1) below (Clevert et al. 2016)."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        """Apply."""
        return kernels.elu(inputs, self.alpha)


class PReLU(Pointwise):
    """x above 0, alpha · x below, alpha learned for each position but along ``shared_axes`` (He et al. 2015)."""

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = alpha_constraint
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())
        self.alpha: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make alpha."""
        shared = {normalise_axis(axis, len(input_shape)) for axis in self.shared_axes}
        shape = [1 if axis in shared else size for axis, size in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(
            shape, self.alpha_initializer, name="alpha", regularizer=self.alpha_regularizer, constraint=self.alpha_constraint
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Rectify."""
        return kernels.prelu(inputs, self.alpha)


class Softmax(Pointwise):
    """exp(x) / Σ exp(x) along ``axis``, or along several taken as one; masked places get 0.

    A mask that goes with the input is taken where it has a value for each number, not one for each vector.
    """

    unmasked_axes = 0

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        for axis in (self.axis,) if isinstance(self.axis, int) else self.axis:
            normalise_axis(axis, len(input_shape))
        return input_shape

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalize."""
        if mask is None:
            return kernels.softmax(inputs, self.axis)
        return kernels.masked_softmax(inputs, self.axis, mask, -3e4 if self.compute_dtype == "float16" else -1e9)
