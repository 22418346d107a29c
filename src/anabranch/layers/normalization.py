"""Normalization by statistics of the batch, of each sample, or of groups of channels."""

from __future__ import annotations

from typing import Any

from anabranch import ops, regularizers
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.activation import Pointwise
from anabranch.layers.core import whole


class BatchNormalization(Pointwise):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta for each channel (Ioffe & Szegedy 2015).

    While training mean and (biased) variance are the batch's, and the moving ones follow: m ← momentum · m + (1 - momentum) ·
    batch's. Otherwise, and where the layer is frozen, the moving ones are used.
    """

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
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
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

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta, moving_mean and moving_variance, each (C,)."""
        axis = normalise_axis(self.axis, len(input_shape))
        size = input_shape[axis]
        if size is None:
            raise ShapeError("The normalized axis needs a known size.", got=f"axis {self.axis} of {input_shape}")
        self._place = axis, len(input_shape)
        if self.scale:
            self.gamma = self.add_weight(
                (size,),
                self.gamma_initializer,
                name="gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                (size,), self.beta_initializer, name="beta", regularizer=self.beta_regularizer, constraint=self.beta_constraint
            )
        self.moving_mean = self.add_weight((size,), self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            (size,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        axis = normalise_axis(self.axis, len(input_shape))
        if self.moving_mean is not None and input_shape[axis] != self.moving_mean.shape[0]:
            raise ShapeError(
                "The input has another number of channels than the statistics were made for.",
                expected=f"{self.moving_mean.shape[0]} along axis {self.axis}",
                got=str(input_shape),
            )
        return input_shape

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Normalize; while training move the statistics."""
        axis, rank = self._place
        return ops.batch_norm(
            inputs, self.gamma, self.beta, self.moving_mean, self.moving_variance, axis=axis, rank=rank, epsilon=self.epsilon,
            momentum=self.momentum if training and self.trainable else None,
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
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta_regularizer), regularizers.get(gamma_regularizer)
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint
        self.gamma: Any = None
        self.beta: Any = None
        self._axes: tuple[int, ...] = ()
        self._shape: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta of the normalized axes' sizes."""
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        self._axes = tuple(sorted(normalise_axis(axis, len(input_shape)) for axis in axes))
        self._shape = input_shape
        sizes = [input_shape[axis] for axis in self._axes]
        if None in sizes:
            raise ShapeError("The normalized axes need known sizes.", got=f"axes {self.axis} of {input_shape}")
        if self.scale:
            self.gamma = self.add_weight(
                sizes,
                self.gamma_initializer,
                name="gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                sizes, self.beta_initializer, name="beta", regularizer=self.beta_regularizer, constraint=self.beta_constraint
            )
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        if self._axes and [input_shape[a] for a in self._axes if a < len(input_shape)] != [self._shape[a] for a in self._axes]:
            raise ShapeError(
                "The normalized axes have other sizes than gamma was made for.", expected=str(self._shape), got=str(input_shape)
            )
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return ops.layer_norm(inputs, self.gamma, self.beta, self._axes, self._shape, self.epsilon)


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
        self.groups = whole("groups", groups, self, least=-1)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta_regularizer), regularizers.get(gamma_regularizer)
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint
        self.gamma: Any = None
        self.beta: Any = None
        self._place = (0, 0)

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta, each (C,)."""
        axis = normalise_axis(self.axis, len(input_shape))
        size = input_shape[axis]
        if size is None:
            raise ShapeError("The normalized axis needs a known size.", got=f"axis {self.axis} of {input_shape}")
        if self.groups == -1:
            self.groups = size
        if size % self.groups:
            raise ShapeError("The channels are a multiple of groups.", got=f"{size} channels, groups={self.groups}")
        self._place = axis, len(input_shape)
        if self.scale:
            self.gamma = self.add_weight(
                (size,),
                self.gamma_initializer,
                name="gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                (size,), self.beta_initializer, name="beta", regularizer=self.beta_regularizer, constraint=self.beta_constraint
            )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        return ops.group_norm(inputs, self.gamma, self.beta, self.groups, *self._place, self.epsilon)
