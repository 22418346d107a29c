"""Transposed convolutions, which lengthen the spatial axes: the gradient of a convolution, learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.layers import fields
from anabranch.layers.convolutional import Convolving
from anabranch.layers.windows import spatial_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class ConvTranspose(Convolving):
    """activation(x ⋆ᵀ kernel + bias), ⋆ᵀ the gradient of a convolution (Zeiler et al. 2010). Abstract: Conv2DTranspose, …"""

    strides: fields.SizesField = fields.sizes(default=1, doc="how many times longer the result is.")
    padding: fields.PaddingField = fields.padding(default="valid")  # type: ignore[assignment]  # it looks back nowhere
    output_padding: fields.Field[int | tuple[int, ...] | None, tuple[int, ...] | None] = fields.sizes(
        default=None, least=0, optional=True,
        doc="lengthens the result by so many positions, fewer than the stride; None gives length · stride for ``same`` and "
        "(length - 1) · stride + max(window, stride) for ``valid``.",
    )  # fmt: skip
    dilation_rate: fields.SizesField = fields.sizes(default=1, doc="the distance between the window's elements in the output.")
    _field_order_: ClassVar[tuple[str, ...]] = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "output_padding",
        "data_format",
        "dilation_rate",
    )

    def _check_(self) -> None:
        if any(extra >= stride for extra, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise ArgumentError(
                "output_padding must be less than the stride along each axis.",
                got=f"output_padding={self.output_padding}, strides={self.strides}", where=str(self._made_at_),
            )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, filters, I) and bias (filters,)."""
        self.add_kernel("kernel", (*self.kernel_size, self.filters, self.channels(input_shape)))
        self.add_bias(self.filters)

    def made_for(self) -> int | None:
        """Return how many channels the kernel was made for."""
        return self.kernel.shape[-1] if self.kernel is not None else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …longer, filters)."""
        self.channels(input_shape)
        spatial = input_shape[2:] if self.data_format == "channels_first" else input_shape[1:-1]
        lengths = [
            None if length is None else (length - 1) * stride + reach - before - after
            for length, stride, reach, (before, after) in zip(spatial, self.strides, self.reach(), self.crops(), strict=True)
        ]
        return spatial_shape(input_shape, lengths, self.filters, self.data_format)

    def reach(self) -> list[int]:
        """Return the window's length with its gaps, along each axis."""
        return [(size - 1) * gap + 1 for size, gap in zip(self.kernel_size, self.dilation_rate, strict=True)]

    def crops(self) -> tuple[tuple[int, int], ...]:
        """Return what is cut off both ends of the whole result, (length - 1) · stride + reach; below 0 it is lengthened."""
        extras = self.output_padding or (None,) * self.rank
        axes = zip(self.reach(), self.strides, extras, strict=True)
        return tuple(self._crop(reach, stride, extra) for reach, stride, extra in axes)

    def _crop(self, reach: int, stride: int, extra: int | None) -> tuple[int, int]:
        if self.padding == "valid":
            return 0, -(max(stride - reach, 0) if extra is None else extra)
        total = reach - stride if extra is None else reach - reach % 2 - extra
        before = max(total // 2, 0)
        return before, total - before

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve backwards, add the bias, apply the activation."""
        return self.activation(
            kernels.conv_transpose(
                inputs, self.kernel, self.bias, strides=self.strides, reach=self.reach(), crops=self.crops(),
                data_format=self.data_format, dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip


class Conv1DTranspose(ConvTranspose):
    """Lengthen steps by a transposed convolution (Zeiler et al. 2010): (B, T, C) -> (B, T', filters).

    Example:
        >>> from anabranch import Input
        >>> Conv1DTranspose(8, 3, strides=2, padding="same")(Input((10, 4))).shape
        (None, 20, 8)
    """

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Enlarge images by a transposed convolution (Zeiler et al. 2010): (B, H, W, C) -> (B, H', W', filters).

    Example:
        >>> from anabranch import Input
        >>> Conv2DTranspose(8, 4, strides=2, padding="same")(Input((16, 16, 4))).shape
        (None, 32, 32, 8)
    """

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Enlarge volumes by a transposed convolution (Zeiler et al. 2010): (B, D, H, W, C) -> (B, D', H', W', filters).

    Example:
        >>> from anabranch import Input
        >>> Conv3DTranspose(2, 2, strides=2)(Input((4, 8, 8, 1))).shape
        (None, 8, 16, 16, 2)
    """

    rank = 3

    # here, and here only, Keras has data_format before output_padding
    _field_order_ = ("filters", "kernel_size", "strides", "padding", "data_format", "output_padding")


Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
