"""Layers that only these networks have, under the names that Keras's files give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import initializers, runtime
from anabranch.graph import Shape, Weight
from anabranch.layers import fields
from anabranch.layers.base import Layer
from anabranch.layers.merging import Joining
from anabranch.layers.pointwise import Pointwise
from anabranch.ops import _kernels as kernels
from anabranch.registry import Registry

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class StochasticDepth(Pointwise):
    """While training, drop the branch of a sample, and scale others by 1 / (1 - rate) (Huang et al. 2016, §3)."""

    drop_path_rate: fields.NumberField = fields.number(least=0, most=1, doc="the fraction of samples that are dropped.")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop while training."""
        if not training or not self.drop_path_rate:
            return inputs
        together = (None, *(1 for _ in inputs.shape[1:]))
        return kernels.dropout(inputs, self.drop_path_rate, together, runtime.stream(self._home_))


class LayerScale(Pointwise):
    """Scale each channel by a weight whose initial value is small (Touvron et al. 2021, eq. 4)."""

    init_values: fields.NumberField = fields.number(doc="the weights' initial value.")
    projection_dim: fields.Field[int, int] = fields.integer(doc="how many channels there are.", fixed=True)
    gamma: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Add gamma (C,)."""
        self.gamma = self.add_weight((self.projection_dim,), initializers.Constant(self.init_values), name="gamma")

    def call(self, inputs: Tensor) -> Tensor:
        """Scale."""
        return inputs * self.gamma


class CustomScaleLayer(Joining):
    """Add a branch that is scaled: a + scale · b."""

    least, most = 2, 2
    _takes_integers_ = False

    scale: fields.NumberField = fields.number(doc="is multiplied by the second input.")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Return the first input's shape."""
        return input_shape[0]

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Add."""
        return inputs[0] + inputs[1] * self.scale


_ORIGINS = {"CustomScaleLayer": "inception_resnet_v2", "LayerScale": "convnext", "StochasticDepth": "convnext"}


class _Registry(Registry[Layer]):
    def address(self, kind: type) -> tuple[str, str]:
        """Return the module of Keras's in which the class is."""
        return f"keras.src.applications.{_ORIGINS[kind.__name__]}", kind.__name__


def _classes() -> dict[str, Any]:
    return {name: globals()[name] for name in _ORIGINS}


_registry: Registry[Layer] = _Registry("layer", "keras.applications", Layer, _classes, callables=False)
