"""Convolutions, one class for any number of spatial axes and a few lines for each rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Weight, Window
from anabranch.layers import fields, low_rank
from anabranch.layers.windows import channels_of, check_channels, known_channels, windows_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Filtered(fields.FieldLayer):
    """A layer of so many filters. Abstract."""

    filters: fields.Field[int, int] = fields.integer(doc="the number of output channels.", fixed=True)


class Windowed(fields.FieldLayer):
    """A window of weights that slides along ``rank`` spatial axes, a bias and an activation. Abstract: base of convolutions."""

    rank: ClassVar[int]
    _takes_integers_ = False
    _takes_one_tensor_ = True

    kernel_size: fields.SizesField = fields.sizes(doc="the window's length along each spatial axis.", fixed=True)
    strides: fields.SizesField = fields.sizes(default=1, doc="by how many positions the window moves.")
    padding: fields.CausalPaddingField = fields.padding(default="valid", causal=True)
    data_format: fields.DataFormatField = fields.data_format(default=None)
    dilation_rate: fields.SizesField = fields.sizes(default=1, doc="the distance between the window's elements in the input.")
    activation: fields.ActivationField = fields.activation(default=None, kw_only=True)
    use_bias: fields.BooleanField = fields.boolean(default=True, doc="whether a bias is added.", fixed=True, kw_only=True)
    bias_initializer: fields.InitializerField = fields.initializer(
        default="zeros", doc="of the bias, a value a channel.", kw_only=True
    )
    bias_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    bias_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)

    bias: Weight = fields.weight_state(init=False)

    def channels(self, input_shape: Shape) -> int:
        """Return the input's channels, which must be those that the weights were made for."""
        made_for = self.made_for()
        if made_for is not None and channels_of(input_shape, self.rank, self.data_format) is None:
            return made_for
        found = known_channels(input_shape, self.rank, self.data_format)
        check_channels(found, made_for, input_shape)
        return found

    def made_for(self) -> int | None:
        """Return how many channels the weights were made for, None before they are made."""
        raise NotImplementedError(f"{type(self).__name__} must write made_for()")

    def channels_after(self, channels: int) -> int:
        """Return the number of output channels."""
        raise NotImplementedError(f"{type(self).__name__} must write channels_after(channels)")

    def add_kernel(self, name: str, shape: tuple[int, ...], *, channels_last: bool = True) -> None:
        """Add a kernel (…window, a, b), in torch's order (b, a, …window), or else (a, b, …window)."""
        a, b, window = self.rank, self.rank + 1, range(self.rank)
        self.weight(name, shape, axes=(b, a, *window) if channels_last else (a, b, *window))

    def add_bias(self, channels: int) -> None:
        """Add the bias, where it is wanted."""
        if self.use_bias:
            self.weight("bias", (channels,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, channels); see ``window_length``."""
        channels = self.channels_after(self.channels(input_shape))
        return windows_shape(
            input_shape, self.kernel_size, self.strides, self.padding, self.data_format, self.dilation_rate, channels
        )

    def _local_window_(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)


class Convolving(Windowed, Filtered):
    """What convolutions and transposed ones share: one kernel across all channels. Abstract."""

    kernel_initializer: fields.InitializerField = fields.initializer(default="glorot_uniform", kw_only=True)
    kernel_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    kernel_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    _field_order_: ClassVar[tuple[str, ...]] = (
        "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "bias_constraint",
    )  # fmt: skip

    kernel: Weight = fields.weight_state(init=False)

    def channels_after(self, channels: int) -> int:
        """Return ``filters``."""
        return self.filters


class Conv(Convolving, low_rank.LowRank):
    """activation(x ⋆ kernel + bias) over ``rank`` spatial axes; ⋆ is cross-correlation. Abstract: Conv1D, Conv2D, Conv3D."""

    groups: fields.Field[int, int] = fields.integer(
        default=1, doc="channels are split into so many groups, convolved apart.", fixed=True
    )
    lora_rank: fields.Field[int | None, int | None] = low_rank.rank()
    lora_alpha: fields.Field[float | None, float | None] = low_rank.alpha()
    _field_order_ = (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", *Convolving._field_order_,
        "lora_rank", "lora_alpha",
    )  # fmt: skip

    lora_kernel_a: Weight = fields.weight_state(init=False)
    lora_kernel_b: Weight = fields.weight_state(init=False)

    def _check_(self) -> None:
        super()._check_()
        if self.filters % self.groups:
            raise ArgumentError(
                "filters must be a multiple of groups.", got=f"filters={self.filters}, groups={self.groups}",
                where=str(self._made_at_),
            )  # fmt: skip

    def made_for(self) -> int | None:
        """Return how many channels the kernel was made for."""
        kernel = self.kernel
        return kernel.shape[-2] * self.groups if kernel is not None else None

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, I / groups, filters) and bias (filters,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        if channels % self.groups:
            raise ShapeError(
                "The input's channels must be a multiple of groups.", got=f"{channels} channels, groups={self.groups}"
            )
        self.add_kernel("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self.add_bias(self.filters)
        self._adapt_()

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve, add the bias, apply the activation."""
        return self.activation(
            kernels.conv(
                inputs, self._adapted_(self.kernel), self.bias, window=self.kernel_size, strides=self.strides,
                padding=self.padding, data_format=self.data_format, dilation_rate=self.dilation_rate, groups=self.groups,
            )
        )  # fmt: skip


class Conv1D(Conv):
    """Convolve steps: activation(x ⋆ kernel + bias), (B, T, C) -> (B, T', filters).

    T' follows from window and stride as the lengths of :class:`Conv2D` do; ``causal`` padding is all before the first step.

    Example:
        >>> from anabranch import Input
        >>> Conv1D(8, 3, padding="causal")(Input((20, 4))).shape
        (None, 20, 8)
    """

    rank = 1


class Conv2D(Conv):
    """Convolve images: activation(x ⋆ kernel + bias), (B, H, W, C) -> (B, H', W', filters) (LeCun et al. 1989).

    H' = (H - reach) // stride + 1 for ``valid`` padding with reach = (window - 1) · dilation + 1, ceil(H / stride) otherwise.

    Example:
        >>> from anabranch import Input
        >>> Conv2D(8, 3, strides=2, padding="same", activation="relu")(Input((32, 32, 3))).shape
        (None, 16, 16, 8)
    """

    rank = 2


class Conv3D(Conv):
    """Convolve volumes: activation(x ⋆ kernel + bias), (B, D, H, W, C) -> (B, D', H', W', filters).

    The lengths follow from window and stride as those of :class:`Conv2D` do.

    Example:
        >>> from anabranch import Input
        >>> Conv3D(4, 3)(Input((10, 16, 16, 1))).shape
        (None, 8, 14, 14, 4)
    """

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
