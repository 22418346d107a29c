"""Normalization by statistics of the batch, of each sample, or of groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Weight
from anabranch.graph.shapes import normalise_axis
from anabranch.layers import fields
from anabranch.layers.pointwise import Pointwise
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

EPSILON_DOC = "is added to the variance, so that the division stays finite."


class Normalizing(Pointwise):
    """A normalization with weights along ``axis``, whose sizes are known once it is built. Abstract."""

    axis: Any = fields.state(init=False)

    _axes: tuple[int, ...] = fields.state(init=False)  # from the front
    _shape: Shape = fields.state(init=False)  # of the input that it was built for

    def normalized(self, input_shape: Shape) -> tuple[int, ...]:
        """Note the normalized axes of ``input_shape`` and return their sizes."""
        self._axes, sizes = normalized_sizes(self.axis, input_shape)
        self._shape = input_shape
        return tuple(sizes)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        check_sizes(self._axes, self._shape, input_shape)
        return input_shape

    def check_input(self, inputs: Tensor) -> None:
        """Raise where a value has other sizes, or another rank, than the layer was built for."""
        known = runtime.shape_of(inputs)
        if known is not None:
            check_sizes(self._axes, self._shape, known)


class Affine(Normalizing):
    """A normalization that scales by gamma and shifts by beta. Abstract."""

    epsilon: fields.NumberField = fields.number(default=1e-3, least=0, doc=EPSILON_DOC, kw_only=True)
    center: fields.BooleanField = fields.boolean(default=True, doc="whether beta is added.", fixed=True, kw_only=True)
    scale: fields.BooleanField = fields.boolean(
        default=True, doc="whether it is multiplied by gamma.", fixed=True, kw_only=True
    )
    beta_initializer: fields.InitializerField = fields.initializer(default="zeros", kw_only=True)
    gamma_initializer: fields.InitializerField = fields.initializer(default="ones", kw_only=True)
    beta_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    gamma_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    beta_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    gamma_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)

    gamma: Weight = fields.weight_state(init=False)
    beta: Weight = fields.weight_state(init=False)

    def add_gamma_and_beta(self, sizes: Sequence[int]) -> None:
        """Add the weights gamma and beta, where they are wanted."""
        if self.scale:
            self.weight("gamma", sizes, autocast=False)
        if self.center:
            self.weight("beta", sizes, autocast=False)


class BatchNormalization(Affine):
    """Normalize each channel by the batch: gamma · (x - mean) / sqrt(variance + epsilon) + beta (Ioffe & Szegedy 2015).

    While training mean and (biased) variance are the batch's, and the moving ones follow: m ← momentum · m + (1 - momentum) ·
    batch's. Otherwise, and where the layer is frozen, the moving ones are used. A mask (B, T) of (B, T, C) leaves steps out of
    the batch's mean and variance. Shapes: (B, …, C) -> (B, …, C).

    Example:
        >>> from anabranch import Input
        >>> layer = BatchNormalization()
        >>> layer(Input((8, 8, 3))).shape, [w.name for w in layer.weights]
        ((None, 8, 8, 3), ['gamma', 'beta', 'moving_mean', 'moving_variance'])
    """

    _unmasked_axes_ = 1

    axis: fields.Field[int | Sequence[int], int] = fields.axes(
        default=-1, one=True, doc="the axis of the channels.", fixed=True
    )
    momentum: fields.NumberField = fields.number(
        default=0.99, least=0, most=1, doc="how slowly the moving statistics follow the batch's."
    )
    moving_mean_initializer: fields.InitializerField = fields.initializer(default="zeros")
    moving_variance_initializer: fields.InitializerField = fields.initializer(default="ones")
    renorm: fields.Field[bool, bool] = fields.absent(default=False)
    renorm_clipping: fields.Field[None, None] = fields.absent(default=None)
    renorm_momentum: fields.Field[float, float] = fields.absent(default=0.99)
    synchronized: fields.Field[bool, bool] = fields.absent(default=False)
    _field_order_ = (
        "axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer", "moving_mean_initializer",
        "moving_variance_initializer", "beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint",
    )  # fmt: skip

    moving_mean: Weight = fields.weight_state(init=False)
    moving_variance: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta, moving_mean and moving_variance, each (C,)."""
        sizes = self.normalized(input_shape)
        self.add_gamma_and_beta(sizes)
        self.weight("moving_mean", sizes, trainable=False, autocast=False)
        self.weight("moving_variance", sizes, trainable=False, autocast=False)

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Normalize; while training move the statistics."""
        self.check_input(inputs)
        return kernels.batch_norm(
            inputs, self.gamma, self.beta, self.moving_mean, self.moving_variance, axis=self._axes[0], rank=len(self._shape),
            epsilon=self.epsilon, momentum=self.momentum if training and self.trainable else None, mask=mask,
        )  # fmt: skip


class LayerNormalization(Affine):
    """Normalize each sample over ``axis``: gamma · (x - mean) / sqrt(variance + epsilon) + beta (Ba et al. 2016).

    Shapes: (B, …, C) -> (B, …, C).

    Example:
        >>> import numpy as np
        >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]])).tolist()
        [[-1.0, 1.0]]
    """

    axis: fields.AxesField = fields.axes(default=-1, doc="the axis, or axes, of which mean and variance are taken.", fixed=True)
    rms_scaling: fields.Field[bool, bool] = fields.absent(default=False, kw_only=True)
    _field_order_ = ("axis", *Affine._fields_)

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta of the normalized axes' sizes."""
        self.add_gamma_and_beta(self.normalized(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        self.check_input(inputs)
        return kernels.layer_norm(inputs, self.gamma, self.beta, self._axes, self._shape, self.epsilon)


def _groups(value: object, owner: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != -1):
        raise ArgumentError(f"{name} of {type(owner).__name__} must be an integer ≥ 1, or -1.", got=repr(value)[:120])
    return value


class GroupNormalization(Affine):
    """Normalize groups of channels: gamma · (x - mean) / sqrt(variance + epsilon) + beta, over all positions (Wu & He 2018).

    Shapes: (B, …, C) -> (B, …, C).

    Example:
        >>> from anabranch import Input
        >>> GroupNormalization(groups=4)(Input((8, 8, 16))).shape
        (None, 8, 8, 16)
    """

    groups: fields.Field[int, int] = fields.field(
        default=32, convert=_groups, doc="the number of groups of channels; -1: each channel alone; 1: all together."
    )
    axis: fields.Field[int | Sequence[int], int] = fields.axes(
        default=-1, one=True, doc="the axis of the channels.", fixed=True
    )

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta, each (C,)."""
        sizes = self.normalized(input_shape)
        self._check_groups(sizes[0])
        self.add_gamma_and_beta(sizes)

    def _check_groups(self, size: int) -> None:
        if self.groups != -1 and size % self.groups:
            raise ShapeError(
                "The channels must be a multiple of groups.", expected=f"channels divisible by {self.groups}",
                got=f"{size} channels along axis {self.axis} of {self._shape}",
                repair="groups=1 takes all channels together, groups=-1 each alone",
            )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        shape = super().compute_output_shape(input_shape)
        size = self._shape[self._axes[0]] if self._shape else None
        if size is not None:
            self._check_groups(size)
        return shape

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        self.check_input(inputs)
        axis, rank = self._axes[0], len(self._shape)
        groups = (self._shape[axis] or 1) if self.groups == -1 else self.groups
        return kernels.group_norm(inputs, self.gamma, self.beta, groups, axis, rank, self.epsilon)


class RMSNormalization(Normalizing):
    """Divide each sample by its root mean square: scale · x / sqrt(mean(x²) + epsilon) (Zhang & Sennrich 2019).

    Shapes: (B, …, C) -> (B, …, C).

    Example:
        >>> import numpy as np
        >>> RMSNormalization()(np.array([[2.0, -2.0]])).round(decimals=3).tolist()
        [[1.0, -1.0]]
    """

    supports_masking = False  # as in Keras

    axis: fields.AxesField = fields.axes(default=-1, doc="the axis, or axes, of which the mean is taken.", fixed=True)
    epsilon: fields.NumberField = fields.number(default=1e-6, least=0, doc=EPSILON_DOC)

    scale: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make scale of the normalized axes' sizes."""
        sizes = self.normalized(input_shape)
        self.scale = self.add_weight(sizes, "ones", autocast=False, name="scale")

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        self.check_input(inputs)
        return kernels.rms_norm(inputs, self.scale, self._axes, self._shape, self.epsilon)


class UnitNormalization(Pointwise):
    """Divide by the norm: x / ‖x‖₂ over ``axis`` of each sample; zeros stay zeros.

    Example:
        >>> import numpy as np
        >>> UnitNormalization()(np.array([[3.0, 4.0]])).round(decimals=3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """

    axis: fields.AxesField = fields.axes(default=-1, doc="the axis, or axes, of the norm.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        for axis in as_axes(self.axis):
            normalise_axis(axis, len(input_shape))
        return input_shape

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize."""
        return kernels.unit_norm(inputs, as_axes(self.axis))


def as_axes(axis: int | Sequence[int]) -> tuple[int, ...]:
    """Return one axis or several as a tuple."""
    return (axis,) if isinstance(axis, int) else tuple(axis)


def normalized_sizes(axis: int | Sequence[int], shape: Shape) -> tuple[tuple[int, ...], list[int]]:
    """Return the normalized axes, counted from the front, and their sizes, which must be known."""
    axes = tuple(sorted(normalise_axis(a, len(shape)) for a in as_axes(axis)))
    sizes = [size for size in (shape[a] for a in axes) if size is not None]
    if len(sizes) < len(axes):
        raise ShapeError(
            "The normalized axes need known sizes.", got=f"axis={axis} of {shape}", repair="give Input the sizes of these axes"
        )
    return axes, sizes


def check_sizes(axes: tuple[int, ...], made_for: Shape, shape: Shape) -> None:
    """Raise where a built layer meets other sizes along the normalized axes, or another rank."""
    if made_for and (len(shape) != len(made_for) or any(shape[axis] not in (None, made_for[axis]) for axis in axes)):
        raise ShapeError(
            "The input does not fit the sizes that the weights were made for.",
            expected=f"{len(made_for)}-D, " + ", ".join(f"{made_for[axis]} along axis {axis}" for axis in axes),
            got=str(shape),
            repair="a layer of its own for each rank and size",
        )
