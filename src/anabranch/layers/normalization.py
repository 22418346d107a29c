"""Normalization by statistics of the batch, of each sample, or of groups of channels."""

from __future__ import annotations

from typing import Any

from anabranch import regularizers
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.activation import Pointwise
from anabranch.layers.core import whole
from anabranch.ops import _kernels as kernels


class BatchNormalization(Pointwise):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta for each channel (Ioffe & Szegedy 2015).

    While training mean and (biased) variance are the batch's, and the moving ones follow: m ← momentum · m + (1 - momentum) ·
    batch's. Otherwise, and where the layer is frozen, the moving ones are used. A mask (B, T) of
    (B, T, C) leaves steps out of the batch's mean and variance.
    """

    unmasked_axes = 1

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if renorm or synchronized:
            raise ArgumentError("renorm= and synchronized= are not there yet.", where=str(self.made_at))
        if not 0 <= momentum <= 1:
            raise ArgumentError("momentum lies in [0, 1].", got=repr(momentum), where=str(self.made_at))
        if isinstance(axis, (list, tuple)) and len(axis) == 1:
            axis = axis[0]
        self.axis, self.momentum, self.center, self.scale = axis, momentum, center, scale
        self.epsilon = check_epsilon(epsilon, self)
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta_regularizer), regularizers.get(gamma_regularizer)
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_mean: Any = None
        self.moving_variance: Any = None
        self._place = (0, 0)
        self._shape: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta, moving_mean and moving_variance, each (C,)."""
        (axis,), (size,) = normalized_sizes(self.axis, input_shape)
        self._place, self._shape = (axis, len(input_shape)), input_shape
        add_gamma_and_beta(self, (size,))
        self.moving_mean = self.add_weight(
            (size,), self.moving_mean_initializer, trainable=False, autocast=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (size,), self.moving_variance_initializer, trainable=False, autocast=False, name="moving_variance"
        )
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_sizes(self._place[:1], self._shape, input_shape)
        return input_shape

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Normalize; while training move the statistics."""
        axis, rank = self._place
        return kernels.batch_norm(
            inputs, self.gamma, self.beta, self.moving_mean, self.moving_variance, axis=axis, rank=rank, epsilon=self.epsilon,
            momentum=self.momentum if training and self.trainable else None, mask=mask,
        )  # fmt: skip


class LayerNormalization(Pointwise):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta over ``axis`` of each sample (Ba et al. 2016)."""

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon, self.center, self.scale = check_epsilon(epsilon, self), center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta_regularizer), regularizers.get(gamma_regularizer)
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint
        self.gamma: Any = None
        self.beta: Any = None
        self._axes: tuple[int, ...] = ()
        self._shape: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta of the normalized axes' sizes."""
        self._axes, sizes = normalized_sizes(self.axis, input_shape)
        self._shape = input_shape
        add_gamma_and_beta(self, sizes)
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_sizes(self._axes, self._shape, input_shape)
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return kernels.layer_norm(inputs, self.gamma, self.beta, self._axes, self._shape, self.epsilon)


class GroupNormalization(Pointwise):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta over groups of channels and all positions (Wu & He 2018)."""

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = -1 if groups == -1 else whole("groups", groups, self)
        self._groups = self.groups
        self.axis, self.epsilon, self.center, self.scale = axis, check_epsilon(epsilon, self), center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta_regularizer), regularizers.get(gamma_regularizer)
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint
        self.gamma: Any = None
        self.beta: Any = None
        self._place = (0, 0)
        self._shape: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta, each (C,)."""
        (axis,), (size,) = normalized_sizes(self.axis, input_shape)
        groups = size if self.groups == -1 else self.groups
        if size % groups:
            raise ShapeError(
                "The channels are a multiple of groups.", expected=f"channels divisible by {groups}",
                got=f"{size} channels along axis {self.axis} of {input_shape}",
                repair="groups=1 takes all channels together, groups=-1 each alone",
            )  # fmt: skip
        self._groups = groups
        self._place, self._shape = (axis, len(input_shape)), input_shape
        add_gamma_and_beta(self, (size,))
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_sizes(self._place[:1], self._shape, input_shape)
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return kernels.group_norm(inputs, self.gamma, self.beta, self._groups, *self._place, self.epsilon)


class RMSNormalization(Pointwise):
    """scale · x / sqrt(mean(x²) + epsilon) over ``axis`` of each sample (Zhang & Sennrich 2019)."""

    supports_masking = False  # as in Keras

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = axis, check_epsilon(epsilon, self)
        self.scale: Any = None
        self._axes: tuple[int, ...] = ()
        self._shape: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make scale of the normalized axes' sizes."""
        self._axes, sizes = normalized_sizes(self.axis, input_shape)
        self._shape = input_shape
        self.scale = self.add_weight(sizes, "ones", autocast=False, name="scale")
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_sizes(self._axes, self._shape, input_shape)
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return kernels.rms_norm(inputs, self.scale, self._axes, self._shape, self.epsilon)


class UnitNormalization(Pointwise):
    """x / ‖x‖₂ over ``axis`` of each sample; zeros stay zeros."""

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        for axis in as_axes(self.axis):
            normalise_axis(axis, len(input_shape))
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return kernels.unit_norm(inputs, as_axes(self.axis))


def check_epsilon(epsilon: float, layer: Pointwise) -> float:
    """Return epsilon, which is not negative."""
    if not epsilon >= 0:
        raise ArgumentError("epsilon is not negative.", got=repr(epsilon), where=str(layer.made_at))
    return epsilon


def as_axes(axis: Any) -> tuple[int, ...]:
    """Return one axis or several as a tuple."""
    return (axis,) if isinstance(axis, int) else tuple(axis)


def normalized_sizes(axis: Any, shape: Shape) -> tuple[tuple[int, ...], list[int]]:
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
    if made_for and (len(shape) != len(made_for) or any(shape[axis] != made_for[axis] for axis in axes)):
        raise ShapeError(
            "The input does not fit the sizes that the weights were made for.",
            expected=f"{len(made_for)} axes, " + ", ".join(f"{made_for[axis]} along axis {axis}" for axis in axes),
            got=str(shape),
        )


def add_gamma_and_beta(layer: Any, sizes: Any) -> None:
    """Add the weights gamma and beta to a layer that scales and centers."""
    for name, wanted in (("gamma", layer.scale), ("beta", layer.center)):
        if wanted:
            first, regularizer, constraint = (
                getattr(layer, f"{name}_{part}") for part in ("initializer", "regularizer", "constraint")
            )
            setattr(layer, name, layer.add_weight(
                sizes, first, name=name, regularizer=regularizer, constraint=constraint, autocast=False
            ))  # fmt: skip
