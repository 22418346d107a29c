"""TimeDistributed: a layer applied to each step of a sequence by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import _tree, runtime
from anabranch._errors import ShapeError
from anabranch.graph import Shape, Spec, map_specs
from anabranch.graph.shapes import map_shapes
from anabranch.layers.core import Input
from anabranch.layers.normalization import BatchNormalization
from anabranch.layers.wrapper import Wrapper, cast_for
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class TimeDistributed(Wrapper):
    """Apply a layer to each step of a sequence: (B, T, …) -> (B, T, …), the steps as further rows of the batch.

    While training, batch normalization inside takes each step by itself, as the steps are no samples of one batch.

    Example:
        >>> from anabranch import Input, layers
        >>> TimeDistributed(layers.Conv2D(8, 3))(Input((10, 28, 28, 1))).shape
        (None, 10, 26, 26, 8)
    """

    supports_masking = True
    _takes_one_tensor_ = True

    def build(self, input_shape: Shape | None = None) -> None:
        """Build the layer for one step."""
        super().build(None if input_shape is None else _of_a_step(input_shape))

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None, mask: object = None) -> _tree.Nest:
        """Return the specs of what the layer gives for a step, with the steps after the batch."""
        step = Input(batch_shape=_of_a_step(tuple(inputs.shape)), dtype=self._dtype_of(inputs))
        batch, steps = inputs.shape[:2]
        return map_specs(lambda spec: Spec((batch, steps, *spec.shape[1:]), spec.dtype), self.layer.compute_output_spec(step))

    def _dtype_of(self, inputs: Tensor) -> str:
        dtype = str(inputs.dtype)
        return self.compute_dtype if self.autocast and "float" in dtype else dtype

    def compute_output_shape(self, input_shape: Shape) -> _tree.Nest:
        """(B, T, …) -> (B, T, …)."""
        found = self.layer.compute_output_shape(_of_a_step(input_shape))
        return map_shapes(found, lambda shape: (input_shape[0], input_shape[1], *shape[1:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> _tree.Nest:
        """Apply the layer to all steps at once, or to one after the other where each batch counts by itself."""
        inputs = cast_for(self.layer, inputs, self.compute_dtype)
        shape = runtime.shape_of(inputs)
        if training and shape is not None and self._counts_batches():
            return kernels.over_steps(lambda step, _: (self.layer(step), []), inputs, [], None, shape[1], every=True)[0]
        folded = inputs.flatten(0, 1)
        if shape is not None:
            runtime.shaped(folded, (None, *shape[2:]))
        inner = None if mask is None else runtime.shape_of(mask)
        masked = {"mask": mask.flatten(0, 1)} if mask is not None and inner is not None and len(inner) > 2 else {}
        result = self.layer(folded, **(masked if self.layer._call_takes_("mask") else {}))
        return _tree.map_leaves(lambda leaf: leaf.unflatten(0, (inputs.shape[0], inputs.shape[1])), result)

    def _counts_batches(self) -> bool:
        return any(isinstance(layer, BatchNormalization) and layer.trainable for layer in self.layer._inner_layers_())


def _of_a_step(shape: Shape) -> Shape:
    if len(shape) < 3:
        raise ShapeError("TimeDistributed takes sequences.", expected="(batch, steps, features, …)", got=str(shape))
    return (shape[0], *shape[2:])
