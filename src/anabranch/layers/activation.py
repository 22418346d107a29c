"""Activations as layers with options or weights of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import runtime
from anabranch._errors import ShapeError
from anabranch.graph import Shape, Weight
from anabranch.graph.shapes import normalise_axis
from anabranch.layers import fields
from anabranch.layers.mask_rule import check_fits
from anabranch.layers.pointwise import Pointwise
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class ReLU(Pointwise):
    """Rectify: max(x, 0), cut at ``max_value``; below ``threshold`` negative_slope · (x - threshold) (Glorot et al. 2011).

    Example:
        >>> import numpy as np
        >>> ReLU(max_value=1.0)(np.array([0.5, 3.0])).tolist()
        [0.5, 1.0]
    """

    max_value: fields.Field[float | None, float | None] = fields.number(
        default=None, least=0, optional=True, doc="the greatest output."
    )
    negative_slope: fields.NumberField = fields.number(default=0.0, least=0, doc="the slope below the threshold.")
    threshold: fields.NumberField = fields.number(default=0.0, least=0, doc="where the output begins to follow the input.")

    def call(self, inputs: Tensor) -> Tensor:
        """Rectify."""
        return kernels.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Pointwise):
    """Rectify with a slope: x above 0, negative_slope · x below (Maas et al. 2013).

    Example:
        >>> import numpy as np
        >>> LeakyReLU(0.5)(np.array([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    negative_slope: fields.NumberField = fields.number(default=0.3, least=0, doc="the slope below 0.")

    def _take_others_(self, others: dict[str, Any]) -> None:
        if "alpha" in others:  # Keras 2's name
            self.negative_slope = others.pop("alpha")
        super()._take_others_(others)

    def call(self, inputs: Tensor) -> Tensor:
        """Rectify."""
        return kernels.relu(inputs, self.negative_slope)


class ELU(Pointwise):
    """Take x above 0, alpha · (exp(x) - 1) below (Clevert et al. 2016).

    Example:
        >>> import numpy as np
        >>> ELU()(np.array([0.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    alpha: fields.NumberField = fields.number(default=1.0, doc="the distance of the lower limit from 0.")

    def call(self, inputs: Tensor) -> Tensor:
        """Apply."""
        return kernels.elu(inputs, self.alpha)


def _shared(value: int | Sequence[int] | None, owner: object, name: str) -> list[int] | None:
    return None if value is None else [value] if isinstance(value, int) else list(value)


class PReLU(Pointwise):
    """Rectify with a learned slope: x above 0, alpha · x below (He et al. 2015).

    Example:
        >>> from anabranch import Input
        >>> layer = PReLU(shared_axes=[1, 2])
        >>> layer(Input((8, 8, 3))).shape, layer.alpha.shape
        ((None, 8, 8, 3), (1, 1, 3))
    """

    alpha_initializer: fields.InitializerField = fields.initializer(default="Zeros")
    alpha_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    alpha_constraint: fields.ConstraintField = fields.constraint(default=None)
    shared_axes: fields.Field[int | Sequence[int] | None, list[int] | None] = fields.field(
        default=None, convert=_shared, fixed=True, doc="the axes along which alpha is one value, such as [1, 2] for images."
    )

    alpha: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make alpha, one value for each position but along ``shared_axes``."""
        shared = {normalise_axis(axis, len(input_shape)) for axis in self.shared_axes or ()}
        shape = [1 if axis in shared else size for axis, size in enumerate(input_shape)][1:]
        sizes = [size for size in shape if size is not None]
        if len(sizes) < len(shape):
            raise ShapeError(
                "alpha needs known sizes.", got=str(input_shape), repair="shared_axes=[…] of the axes of unknown sizes"
            )
        self.weight("alpha", sizes)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, which must be the one that alpha was made for but along ``shared_axes``."""
        if self.alpha is not None:
            made_for = self.alpha.shape
            fits = len(input_shape) == 1 + len(made_for)
            if not fits or any(n is not None and m not in (1, n) for m, n in zip(made_for, input_shape[1:], strict=True)):
                raise ShapeError("The input does not fit alpha.", expected=f"{('batch', *made_for)}", got=str(input_shape))
        return input_shape

    def call(self, inputs: Tensor) -> Tensor:
        """Rectify."""
        known = runtime.shape_of(inputs)
        if known is not None:
            self.compute_output_shape(known)
        return kernels.prelu(inputs, self.alpha)


class Softmax(Pointwise):
    """Make probabilities: exp(x) / Σ exp(x) along ``axis``; masked positions get 0.

    A mask that goes with the input is used where it has a value for each element, not one for each vector.

    Example:
        >>> import numpy as np
        >>> Softmax()(np.array([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """

    _unmasked_axes_ = 0

    axis: fields.AxesField = fields.axes(default=-1, doc="the axis of the sum, or several taken as one.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        for axis in (self.axis,) if isinstance(self.axis, int) else self.axis:
            normalise_axis(axis, len(input_shape))
        return input_shape

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalize."""
        if mask is None:
            return kernels.softmax(inputs, self.axis)
        mask = runtime.as_tensors(mask)
        check_fits(self._described_(), mask, runtime.shape_of(inputs))
        return kernels.masked_softmax(inputs, self.axis, mask, -3e4 if self.compute_dtype == "float16" else -1e9)
