"""Convolutions that keep channels apart: depthwise, and separable (depthwise, then 1x1 across channels)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from anabranch.graph import Shape, Weight, Window
from anabranch.layers.fields import (
    ActivationField,
    BooleanField,
    CausalPaddingField,
    ConstraintField,
    DataFormatField,
    Field,
    FieldLayer,
    InitializerField,
    RegularizerField,
    SizesField,
    activation,
    boolean,
    constraint,
    data_format,
    initializer,
    integer,
    padding,
    regularizer,
    sizes,
    state,
)  # fmt: skip
from anabranch.layers.windows import check_channels, known_channels, windows_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

MULTIPLIER_DOC = "M, the number of filters for each input channel."


class DepthwiseConv(FieldLayer):
    """Each channel convolved by ``depth_multiplier`` filters of its own. Abstract: DepthwiseConv1D, DepthwiseConv2D."""

    rank: ClassVar[int]
    takes_one_tensor = True
    option_names = {"kernel": "depthwise"}

    kernel_size: SizesField = sizes(doc="the window's length along each spatial axis.", fixed=True)
    strides: SizesField = sizes(default=1, doc="by how many positions the window moves.")
    padding: CausalPaddingField = padding(default="valid", causal=True)
    depth_multiplier: Field[int, int] = integer(default=1, doc=MULTIPLIER_DOC, fixed=True)
    data_format: DataFormatField = data_format(default=None)
    dilation_rate: SizesField = sizes(default=1, doc="the distance between the window's elements in the input.")
    activation: ActivationField = activation(default=None)
    use_bias: BooleanField = boolean(default=True, doc="whether a bias is added.", fixed=True)
    depthwise_initializer: InitializerField = initializer(default="glorot_uniform", doc="of the kernel (…window, C, M).")
    bias_initializer: InitializerField = initializer(default="zeros", doc="of the bias (C · M,).")
    depthwise_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the kernel.")
    bias_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the bias.")
    activity_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the output.", kw_only=True)
    depthwise_constraint: ConstraintField = constraint(default=None, doc="applied to the kernel after each update.")
    bias_constraint: ConstraintField = constraint(default=None, doc="applied to the bias after each update.")

    kernel: Weight = state(init=False)
    bias: Weight = state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, C, M) and bias (C · M,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        self.kernel = depthwise_kernel(self, channels, "kernel")
        if self.use_bias:
            self.bias = self.weight("bias", (channels * self.depth_multiplier,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, C · depth_multiplier)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.kernel.shape[-2] if self.kernel else None, input_shape)
        return windows_shape(
            input_shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate,
            channels * self.depth_multiplier,
        )  # fmt: skip

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve, add the bias, apply the activation."""
        return self.activation(
            kernels.depthwise_conv(
                inputs, self.kernel, self.bias, strides=self.strides, padding=self.padding, data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip


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


class SeparableConv(FieldLayer):
    """A depthwise convolution, then a 1x1 convolution across channels (Chollet 2017). Abstract."""

    rank: ClassVar[int]
    takes_one_tensor = True
    option_names = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}

    filters: Field[int, int] = integer(doc="the number of output channels.", fixed=True)
    kernel_size: SizesField = sizes(doc="the window's length along each spatial axis.", fixed=True)
    strides: SizesField = sizes(default=1, doc="by how many positions the window moves.")
    padding: CausalPaddingField = padding(default="valid", causal=True)
    data_format: DataFormatField = data_format(default=None)
    dilation_rate: SizesField = sizes(default=1, doc="the distance between the window's elements in the input.")
    depth_multiplier: Field[int, int] = integer(default=1, doc=MULTIPLIER_DOC, fixed=True)
    activation: ActivationField = activation(default=None)
    use_bias: BooleanField = boolean(default=True, doc="whether a bias is added.", fixed=True)
    depthwise_initializer: InitializerField = initializer(default="glorot_uniform", doc="of the kernel (…window, C, M).")
    pointwise_initializer: InitializerField = initializer(default="glorot_uniform", doc="of the 1x1 kernel (C · M, filters).")
    bias_initializer: InitializerField = initializer(default="zeros", doc="of the bias (filters,).")
    depthwise_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the depthwise kernel.")
    pointwise_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the 1x1 kernel.")
    bias_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the bias.")
    activity_regularizer: RegularizerField = regularizer(default=None, doc="a penalty on the output.", kw_only=True)
    depthwise_constraint: ConstraintField = constraint(default=None, doc="applied to the depthwise kernel after updates.")
    pointwise_constraint: ConstraintField = constraint(default=None, doc="applied to the 1x1 kernel after updates.")
    bias_constraint: ConstraintField = constraint(default=None, doc="applied to the bias after updates.")

    depthwise_kernel: Weight = state(init=False)
    pointwise_kernel: Weight = state(init=False)
    bias: Weight = state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make the depthwise kernel (…window, C, M), the pointwise one (…1, C · M, filters) and the bias (filters,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        self.depthwise_kernel = depthwise_kernel(self, channels, "depthwise_kernel")
        shape = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self.weight("pointwise_kernel", shape, axes=(self.rank + 1, self.rank, *range(self.rank)))
        if self.use_bias:
            self.bias = self.weight("bias", (self.filters,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, filters)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.depthwise_kernel.shape[-2] if self.depthwise_kernel else None, input_shape)
        return windows_shape(
            input_shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate, self.filters
        )

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve each channel, then across them, add the bias, apply the activation."""
        layout, ones = self.data_format, (1,) * self.rank
        x = kernels.depthwise_conv(
            inputs, self.depthwise_kernel, None, strides=self.strides, padding=self.padding, data_format=layout,
            dilation_rate=self.dilation_rate,
        )  # fmt: skip
        x = kernels.conv(
            x, self.pointwise_kernel, self.bias, strides=ones, padding="valid", data_format=layout, dilation_rate=ones
        )
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


def depthwise_kernel(layer: DepthwiseConv | SeparableConv, channels: int, name: str) -> Weight:
    """Add the kernel (…window, C, M) of a depthwise convolution, in torch's order (C, M, …window)."""
    rank = layer.rank
    shape = (*layer.kernel_size, channels, layer.depth_multiplier)
    return layer.weight(name, shape, axes=(rank, rank + 1, *range(rank)))
