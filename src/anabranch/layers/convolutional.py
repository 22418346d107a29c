"""Convolutions, one class for any number of spatial axes and a few lines for each rank."""

from __future__ import annotations

from typing import Any, ClassVar

from anabranch import activations, config, regularizers
from anabranch._errors import ArgumentError, ShapeError, unknown
from anabranch.graph import Shape, Window, call_site
from anabranch.graph.shapes import check_rank, per_axis, window_length
from anabranch.layers.base import Layer
from anabranch.layers.core import whole
from anabranch.ops import _kernels as kernels

AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


class Conv(Layer):
    """activation(x ⋆ kernel + bias) over ``rank`` spatial axes; ⋆ is cross-correlation. Abstract: Conv1D, Conv2D, Conv3D."""

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
        groups: int = 1,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = whole("filters", filters, self)
        self.groups = whole("groups", groups, self)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding = check_padding(padding, causal=self.rank == 1)
        self.data_format = config.check_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = (
            regularizers.get(kernel_regularizer),
            regularizers.get(bias_regularizer),
        )
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.kernel: Any = None
        self.bias: Any = None
        if self.filters % self.groups:
            raise ArgumentError("filters is a multiple of groups.", got=f"filters={filters}, groups={groups}")

    def build(self, input_shape: Shape) -> None:
        """Make kernel (…window, I / groups, filters) and bias (filters,)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        if channels % self.groups:
            raise ShapeError("The input's channels are a multiple of groups.", got=f"{channels} channels, groups={self.groups}")
        self.add_weights((*self.kernel_size, channels // self.groups, self.filters))
        self.built = True

    def add_weights(self, kernel_shape: tuple[int, ...]) -> None:
        """Add the kernel, whose last two axes come first in torch's order, and the bias."""
        self.kernel = self.add_weight(
            kernel_shape, self.kernel_initializer, name="kernel", axes=(self.rank + 1, self.rank, *range(self.rank)),
            regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, name="bias",
                regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, filters); see ``window_length``."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        check_channels(channels, self.kernel and self.kernel.shape[-2] * self.groups, input_shape)
        return windows_shape(
            input_shape,
            self.kernel_size,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
            self.filters,
        )

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Any) -> Any:
        """Convolve, add the bias, apply the activation."""
        return self.activation(
            kernels.conv(
                inputs, self.kernel, self.bias, strides=self.strides, padding=self.padding, data_format=self.data_format,
                dilation_rate=self.dilation_rate, groups=self.groups,
            )
        )  # fmt: skip


class Conv1D(Conv):
    """Convolution over steps: (B, T, C) -> (B, T', filters); ``causal`` padding looks back only."""

    rank = 1


class Conv2D(Conv):
    """Convolution over images: (B, H, W, C) -> (B, H', W', filters)."""

    rank = 2


class Conv3D(Conv):
    """Convolution over volumes: (B, D, H, W, C) -> (B, D', H', W', filters)."""

    rank = 3


def check_padding(padding: str, *, causal: bool = False) -> str:
    """Return the padding in lower case if it is one of Keras's."""
    known = ("valid", "same", "causal") if causal else ("valid", "same")
    if not isinstance(padding, str) or padding.lower() not in known:
        raise unknown("padding", str(padding), known, where=str(call_site()))
    return padding.lower()


def known_channels(shape: Shape, rank: int, data_format: str) -> int:
    """Return the number of channels of ``shape`` after checking its rank."""
    first = data_format == "channels_first"
    if len(shape) != rank + 2:
        check_rank(shape, rank + 2, f"batch, channels, {AXES[rank]}" if first else f"batch, {AXES[rank]}, channels")
    channels = shape[1 if first else -1]
    if channels is None:
        raise ShapeError(
            "The number of channels must be known: the kernel has as many.",
            expected="a size, not None", got=str(shape), repair="give Input its channels, such as Input((None, None, 3))",
        )  # fmt: skip
    return channels


def check_channels(channels: int, made_for: int | None, shape: Shape) -> None:
    """Raise where a built layer meets another number of channels."""
    if made_for is not None and channels != made_for:
        raise ShapeError(
            "The input has another number of channels than the kernel was made for.",
            expected=f"{made_for} channels",
            got=f"{channels} in {shape}",
            repair=f"a layer of its own for each, or a 1×1 projection to {made_for} channels before",
        )


def windows_shape(
    shape: Shape,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation: tuple[int, ...],
    channels: int | None,
) -> Shape:
    """Return the shape after a window slid over the spatial axes of ``shape``."""
    first = data_format == "channels_first"
    spatial = shape[2:] if first else shape[1:-1]
    lengths = [window_length(n, w, s, padding, d) for n, w, s, d in zip(spatial, window, strides, dilation, strict=True)]
    for axis, length in enumerate(lengths):
        if length is not None and length < 1:
            reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
            raise ShapeError(
                f"A window of {reach[axis]} does not fit into {spatial[axis]}: nothing would be left.",
                expected=f"at least {' × '.join(map(str, reach))} positions",
                got=f"{' × '.join(map(str, spatial))}, in {shape}",
                repair='padding="same", a smaller window, less pooling before, or a larger Input',
            )
    return (shape[0], channels, *lengths) if first else (shape[0], *lengths, channels)
