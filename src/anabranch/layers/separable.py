"""Convolutions that keep channels apart: depthwise, and separable (depthwise, then 1x1 across channels)."""

from __future__ import annotations

from typing import Any, ClassVar

from anabranch import activations, config, regularizers
from anabranch.graph import Shape, Window
from anabranch.graph.shapes import per_axis
from anabranch.layers.base import Layer
from anabranch.layers.convolutional import check_channels, check_padding, known_channels, windows_shape
from anabranch.layers.core import whole
from anabranch.ops import _kernels as kernels


class DepthwiseConv(Layer):
    """Each channel convolved by ``depth_multiplier`` filters of its own. Abstract: DepthwiseConv1D, DepthwiseConv2D."""

    rank: ClassVar[int]
    takes_one_tensor = True

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = whole("depth_multiplier", depth_multiplier, self)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding = check_padding(padding, causal=self.rank == 1)
        self.data_format = config.check_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.depthwise_initializer, self.bias_initializer = depthwise_initializer, bias_initializer
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint, self.bias_constraint = depthwise_constraint, bias_constraint
        self.kernel: Any = None
        self.bias: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, C, M) and bias (C · M,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        self.kernel = depthwise_kernel(self, channels, "kernel")
        if self.use_bias:
            self.bias = self.add_weight(
                (channels * self.depth_multiplier,), self.bias_initializer, name="bias",
                regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            )  # fmt: skip
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, C · depth_multiplier)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.kernel and self.kernel.shape[-2], input_shape)
        return windows_shape(
            input_shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate,
            channels * self.depth_multiplier,
        )  # fmt: skip

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Any) -> Any:
        """Convolve, add the bias, apply the activation."""
        return self.activation(
            kernels.depthwise_conv(
                inputs, self.kernel, self.bias, strides=self.strides, padding=self.padding, data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip


class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution over steps: (B, T, C) -> (B, T', C · M)."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution over images: (B, H, W, C) -> (B, H', W', C · M)."""

    rank = 2


class SeparableConv(Layer):
    """A depthwise convolution, then a 1x1 convolution across channels (Chollet 2017). Abstract."""

    rank: ClassVar[int]
    takes_one_tensor = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = whole("filters", filters, self)
        self.depth_multiplier = whole("depth_multiplier", depth_multiplier, self)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding = check_padding(padding, causal=self.rank == 1)
        self.data_format = config.check_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.depthwise_initializer, self.pointwise_initializer = depthwise_initializer, pointwise_initializer
        self.bias_initializer = bias_initializer
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint, self.pointwise_constraint = depthwise_constraint, pointwise_constraint
        self.bias_constraint = bias_constraint
        self.depthwise_kernel: Any = None
        self.pointwise_kernel: Any = None
        self.bias: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make the depthwise kernel (…window, C, M), the pointwise one (…1, C · M, filters) and the bias (filters,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        self.depthwise_kernel = depthwise_kernel(self, channels, "depthwise_kernel")
        self.pointwise_kernel = self.add_weight(
            (*(1,) * self.rank, channels * self.depth_multiplier, self.filters), self.pointwise_initializer,
            name="pointwise_kernel", axes=(self.rank + 1, self.rank, *range(self.rank)),
            regularizer=self.pointwise_regularizer, constraint=self.pointwise_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, name="bias",
                regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            )  # fmt: skip
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, filters)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.depthwise_kernel and self.depthwise_kernel.shape[-2], input_shape)
        return windows_shape(
            input_shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate, self.filters
        )

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Any) -> Any:
        """Convolve each channel, then across them, add the bias, apply the activation."""
        ones = (1,) * self.rank
        x = kernels.depthwise_conv(
            inputs, self.depthwise_kernel, None, strides=self.strides, padding=self.padding, data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )  # fmt: skip
        x = kernels.conv(
            x, self.pointwise_kernel, self.bias, strides=ones, padding="valid", data_format=self.data_format, dilation_rate=ones
        )
        return self.activation(x)


class SeparableConv1D(SeparableConv):
    """Separable convolution over steps: (B, T, C) -> (B, T', filters)."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable convolution over images: (B, H, W, C) -> (B, H', W', filters)."""

    rank = 2


def depthwise_kernel(layer: DepthwiseConv | SeparableConv, channels: int, name: str) -> Any:
    """Add the kernel (…window, C, M) of a depthwise convolution, in torch's order (C, M, …window)."""
    rank = layer.rank
    return layer.add_weight(
        (*layer.kernel_size, channels, layer.depth_multiplier), layer.depthwise_initializer, name=name,
        axes=(rank, rank + 1, *range(rank)), regularizer=layer.depthwise_regularizer, constraint=layer.depthwise_constraint,
    )  # fmt: skip
