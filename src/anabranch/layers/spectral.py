"""SpectralNormalization: a layer whose kernel is divided by its greatest singular value at each training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import _tree, initializers
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Spec, Weight, map_specs
from anabranch.layers import fields
from anabranch.layers.input_spec import InputSpec
from anabranch.layers.wrapper import Wrapper, cast_for
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class SpectralNormalization(Wrapper):
    """Divide the kernel of a layer by its greatest singular value before each training step (Miyato et al. 2018).

    The layer then is at most 1-Lipschitz, up to how exact ``power_iterations`` steps from ``vector_u`` (1, C) are. The divided
    kernel (…, C) replaces the former one, also an ``Embedding``'s table; outside of training nothing changes.

    Example:
        >>> from anabranch import Input, layers
        >>> layer = SpectralNormalization(layers.Dense(4))
        >>> layer(Input((3,))).shape, [weight.name for weight in layer.weights]
        ((None, 4), ['kernel', 'vector_u', 'bias'])
    """

    _takes_one_tensor_ = True
    _field_order_ = ("layer", "power_iterations")

    power_iterations: fields.Field[int, int] = fields.integer(
        default=1, least=1, doc="steps of the power method at each training step."
    )

    vector_u: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape | None = None) -> None:
        """Build the layer, and make vector_u (1, C)."""
        if not input_shape:
            raise ShapeError("SpectralNormalization takes an input with a last axis.", got=str(input_shape))
        super().build(input_shape)
        kernel = self._kernel()
        if kernel is not vars(self.layer).get(":embeddings"):  # ids have no features
            self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        self.weight(
            "vector_u", (1, kernel.shape[-1]), trainable=False, autocast=False,
            initializer=initializers.TruncatedNormal(stddev=0.02),
        )  # fmt: skip
        self._weights_ = (kernel, *self._weights_)  # Keras's files hold the kernel here too

    def _kernel(self) -> Weight:
        """Return the weight to normalize: what the layer's ``kernel`` is, or its ``embeddings``."""
        held = vars(self.layer)
        for name in ("kernel", ":kernel", "embeddings", ":embeddings"):
            weight = held.get(name)
            if isinstance(weight, Weight):
                return weight
        raise ArgumentError(
            "SpectralNormalization takes a layer with a kernel, or with embeddings.", got=repr(self.layer),
            expected="Dense, Conv2D, Embedding, or a layer of your own with self.kernel = self.add_weight(…)",
        )  # fmt: skip

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> _tree.Nest:
        """Return the specs of what the layer gives, in the type that this one computes in."""
        return map_specs(lambda spec: Spec(spec.shape, self.compute_dtype), self.layer.compute_output_spec(inputs))

    def compute_output_shape(self, input_shape: Shape) -> _tree.Nest:
        """Return the shape of what the layer gives."""
        return self.layer.compute_output_shape(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> _tree.Nest:
        """Apply the layer; while training, normalize its kernel first."""
        if training:
            kernels.spectral_normalize(self._kernel(), self.vector_u, self.power_iterations)
        found = self.layer(cast_for(self.layer, inputs, self.compute_dtype))
        return _tree.map_leaves(lambda leaf: kernels.cast(leaf, self.compute_dtype), found)
