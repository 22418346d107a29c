"""Layers that act while training only: dropout and noise."""

from __future__ import annotations

from typing import Any

from anabranch import ops
from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.layers.base import Layer


class Dropout(Layer):
    """While training, set a share ``rate`` of elements to 0 and scale the rest by 1 / (1 - rate) (Srivastava et al. 2014)."""

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ArgumentError("A dropout rate lies in [0, 1].", got=repr(rate), where=str(self.made_at))
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        return input_shape

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop while training."""
        return ops.dropout(inputs, self.rate) if training and self.rate else inputs
