"""Transposed convolutions, which lengthen what convolutions shorten: decoders, generators, segmentation."""

from __future__ import annotations

from typing import Any

from anabranch._errors import ArgumentError
from anabranch.graph import Shape, Window
from anabranch.graph.shapes import per_axis
from anabranch.layers.convolutional import Conv, check_channels, check_padding, known_channels
from anabranch.ops import _kernels as kernels


class ConvTranspose(Conv):
    """activation(x ⋆ᵀ kernel + bias), ⋆ᵀ the gradient of a convolution (Zeiler et al. 2010). Abstract: Conv2DTranspose, …

    ``output_padding`` lengthens the result by so many positions, fewer than the stride; None gives length · stride for ``same``
    and (length - 1) · stride + max(window, stride) for ``valid``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, check_padding(padding), data_format, dilation_rate, 1, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
        given = output_padding is not None
        self.output_padding = per_axis(output_padding, self.rank, "output_padding", least=0) if given else None
        if any(extra >= stride for extra, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise ArgumentError(
                "output_padding is less than the stride along each axis.",
                got=f"output_padding={self.output_padding}, strides={self.strides}", where=str(self.made_at),
            )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, filters, I) and bias (filters,)."""
        self.add_weights((*self.kernel_size, self.filters, known_channels(input_shape, self.rank, self.data_format)))
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …longer, filters)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.kernel and self.kernel.shape[-1], input_shape)
        first = self.data_format == "channels_first"
        spatial = input_shape[2:] if first else input_shape[1:-1]
        lengths = [
            None if length is None else (length - 1) * stride + reach - before - after
            for length, stride, reach, (before, after) in zip(spatial, self.strides, self.reach(), self.crops(), strict=True)
        ]
        return (input_shape[0], self.filters, *lengths) if first else (input_shape[0], *lengths, self.filters)

    def reach(self) -> list[int]:
        """Return the window's length with its gaps, along each axis."""
        return [(size - 1) * gap + 1 for size, gap in zip(self.kernel_size, self.dilation_rate, strict=True)]

    def crops(self) -> tuple[tuple[int, int], ...]:
        """Return what is taken off both ends of the whole result, (length - 1) · stride + reach; below 0 it is lengthened."""
        extras = self.output_padding or (None,) * self.rank
        axes = zip(self.reach(), self.strides, extras, strict=True)
        return tuple(self._crop(reach, stride, extra) for reach, stride, extra in axes)

    def _crop(self, reach: int, stride: int, extra: int | None) -> tuple[int, int]:
        if self.padding == "valid":
            return 0, -(max(stride - reach, 0) if extra is None else extra)
        total = reach - stride if extra is None else reach - reach % 2 - extra
        before = max(total // 2, 0)
        return before, total - before

    def sliding_window(self) -> Window | None:
        """Return None: nothing is shortened."""
        return None

    def call(self, inputs: Any) -> Any:
        """Convolve backwards, add the bias, apply the activation."""
        return self.activation(
            kernels.conv_transpose(
                inputs, self.kernel, self.bias, strides=self.strides, crops=self.crops(), data_format=self.data_format,
                dilation_rate=self.dilation_rate,
            )
        )  # fmt: skip


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over steps: (B, T, C) -> (B, T', filters)."""

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over images: (B, H, W, C) -> (B, H', W', filters)."""

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over volumes: (B, D, H, W, C) -> (B, D', H', W', filters)."""

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,  # here, and here only, Keras puts these two the other way round
        output_padding: Any = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
