"""Convolutions that keep channels apart: depthwise, and separable (depthwise, then 1x1 across channels)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.graph import Shape, Weight
from anabranch.layers import fields
from anabranch.layers.convolutional import Filtered, Windowed
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Depthwise(Windowed):
    """A window with ``depth_multiplier`` filters of its own for each input channel. Abstract."""

    depth_multiplier: fields.Field[int, int] = fields.integer(
        default=1, doc="M, the number of filters for each input channel.", fixed=True
    )
    depthwise_initializer: fields.InitializerField = fields.initializer(
        default="glorot_uniform", doc="of the kernel (…window, C, M).", kw_only=True
    )
    depthwise_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    depthwise_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)

    def add_depthwise(self, name: str, channels: int) -> None:
        """Add the kernel (…window, C, M)."""
        self.add_kernel(name, (*self.kernel_size, channels, self.depth_multiplier), channels_last=False)

    def convolved(self, inputs: Tensor, kernel: Weight, bias: Weight | None) -> Tensor:
        """Return each channel convolved by its own filters."""
        return kernels.depthwise_conv(
            inputs, kernel, bias, strides=self.strides, padding=self.padding, data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )  # fmt: skip


class DepthwiseConv(Depthwise):
    """Each channel convolved by ``depth_multiplier`` filters of its own. Abstract: DepthwiseConv1D, DepthwiseConv2D."""

    option_names = {"kernel": "depthwise"}
    _field_order_ = (
        "kernel_size", "strides", "padding", "depth_multiplier", "data_format", "dilation_rate", "activation", "use_bias",
        "depthwise_initializer", "bias_initializer", "depthwise_regularizer", "bias_regularizer", "activity_regularizer",
        "depthwise_constraint", "bias_constraint",
    )  # fmt: skip

    kernel: Weight = fields.weight_state(init=False)

    def made_for(self) -> int | None:
        """Return how many channels the kernel was made for."""
        return self.kernel.shape[-2] if self.kernel is not None else None

    def channels_after(self, channels: int) -> int:
        """Return C · M."""
        return channels * self.depth_multiplier

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, C, M) and bias (C · M,)."""
        channels = self.channels(input_shape)
        self.add_depthwise("kernel", channels)
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve, add the bias, apply the activation."""
        return self.activation(self.convolved(inputs, self.kernel, self.bias))


class DepthwiseConv1D(DepthwiseConv):
    """Convolve each channel of steps by filters of its own: (B, T, C) -> (B, T', C · M).

    Example:
        >>> from anabranch import Input
        >>> DepthwiseConv1D(3, depth_multiplier=2)(Input((10, 4))).shape
        (None, 8, 8)
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Convolve each channel of images by filters of its own: (B, H, W, C) -> (B, H', W', C · M).

    Example:
        >>> from anabranch import Input
        >>> DepthwiseConv2D(3, padding="same")(Input((32, 32, 16))).shape
        (None, 32, 32, 16)
    """

    rank = 2


class SeparableConv(Depthwise, Filtered):
    """A depthwise convolution, then a 1x1 convolution across channels (Chollet 2017). Abstract."""

    option_names = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}

    pointwise_initializer: fields.InitializerField = fields.initializer(
        default="glorot_uniform", doc="of the 1x1 kernel (C · M, filters).", kw_only=True
    )
    pointwise_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    pointwise_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    _field_order_ = (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "depth_multiplier", "activation",
        "use_bias", "depthwise_initializer", "pointwise_initializer", "bias_initializer", "depthwise_regularizer",
        "pointwise_regularizer", "bias_regularizer", "activity_regularizer", "depthwise_constraint", "pointwise_constraint",
        "bias_constraint",
    )  # fmt: skip

    depthwise_kernel: Weight = fields.weight_state(init=False)
    pointwise_kernel: Weight = fields.weight_state(init=False)

    def made_for(self) -> int | None:
        """Return how many channels the depthwise kernel was made for."""
        return self.depthwise_kernel.shape[-2] if self.depthwise_kernel is not None else None

    def channels_after(self, channels: int) -> int:
        """Return ``filters``."""
        return self.filters

    def build(self, input_shape: Shape) -> None:
        """Make the depthwise kernel (…window, C, M), the pointwise one (…1, C · M, filters) and the bias (filters,)."""
        channels = self.channels(input_shape)
        self.add_depthwise("depthwise_kernel", channels)
        shape = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.add_kernel("pointwise_kernel", shape)
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel, then across them, add the bias, apply the activation."""
        ones = (1,) * self.rank
        x = kernels.conv(
            self.convolved(inputs, self.depthwise_kernel, None), self.pointwise_kernel, self.bias, window=ones, strides=ones,
            padding="valid", data_format=self.data_format, dilation_rate=ones,
        )  # fmt: skip
        return self.activation(x)


class SeparableConv1D(SeparableConv):
    """Convolve each channel of steps, then across channels (Chollet 2017): (B, T, C) -> (B, T', filters).

    Example:
        >>> from anabranch import Input
        >>> SeparableConv1D(8, 3)(Input((10, 4))).shape
        (None, 8, 8)
    """

    rank = 1


class SeparableConv2D(SeparableConv):
    """Convolve each channel of images, then across channels (Chollet 2017): (B, H, W, C) -> (B, H', W', filters).

    Example:
        >>> from anabranch import Input
        >>> layer = SeparableConv2D(64, 3, padding="same")
        >>> layer(Input((32, 32, 32))).shape, layer.count_params()
        ((None, 32, 32, 64), 2400)
    """

    rank = 2


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
