"""Pooling: the maximum or mean of windows, or of all positions."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from anabranch import config, runtime
from anabranch.graph import Shape, Window
from anabranch.graph.shapes import per_axis
from anabranch.layers.base import Layer
from anabranch.layers.convolutional import check_padding, known_channels, windows_shape
from anabranch.ops import _kernels as kernels


class Pooling(Layer):
    """The maximum or mean of each window. Abstract: MaxPooling2D, AveragePooling2D, …"""

    rank: ClassVar[int]
    mode: ClassVar[Literal["max", "mean"]]
    takes_one_tensor = True

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size")
        self.strides = per_axis(pool_size if strides is None else strides, self.rank, "strides")
        self.padding = check_padding(padding)
        self.data_format = config.check_data_format(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, C)."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        ones = (1,) * self.rank
        return windows_shape(input_shape, self.pool_size, self.strides, self.padding, self.data_format, ones, channels)

    def sliding_window(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Any) -> Any:
        """Pool."""
        return kernels.pool(inputs, self.mode, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(Pooling):
    """The maximum of each window: (B, T, C) -> (B, T', C)."""

    rank, mode = 1, "max"


class MaxPooling2D(Pooling):
    """The maximum of each window: (B, H, W, C) -> (B, H', W', C)."""

    rank, mode = 2, "max"


class MaxPooling3D(Pooling):
    """The maximum of each window: (B, D, H, W, C) -> (B, D', H', W', C)."""

    rank, mode = 3, "max"


class AveragePooling1D(Pooling):
    """The mean of each window: (B, T, C) -> (B, T', C); padding is not counted."""

    rank, mode = 1, "mean"


class AveragePooling2D(Pooling):
    """The mean of each window: (B, H, W, C) -> (B, H', W', C); padding is not counted."""

    rank, mode = 2, "mean"


class AveragePooling3D(Pooling):
    """The mean of each window: (B, D, H, W, C) -> (B, D', H', W', C); padding is not counted."""

    rank, mode = 3, "mean"


class GlobalPooling(Layer):
    """The maximum or mean over all positions. Abstract."""

    rank: ClassVar[int]
    mode: ClassVar[Literal["max", "mean"]]
    takes_one_tensor = True

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = config.check_data_format(data_format)
        self.keepdims = keepdims

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, C), or (B, 1, …, C) with keepdims."""
        channels = known_channels(input_shape, self.rank, self.data_format)
        ones = (1,) * self.rank if self.keepdims else ()
        first = self.data_format == "channels_first"
        return (input_shape[0], channels, *ones) if first else (input_shape[0], *ones, channels)

    def call(self, inputs: Any) -> Any:
        """Pool."""
        return kernels.global_pool(inputs, self.mode, self.rank, self.data_format, self.keepdims)


class GlobalMaxPooling1D(GlobalPooling):
    """The maximum over all steps: (B, T, C) -> (B, C)."""

    rank, mode = 1, "max"


class GlobalMaxPooling2D(GlobalPooling):
    """The maximum over all positions of an image: (B, H, W, C) -> (B, C)."""

    rank, mode = 2, "max"


class GlobalMaxPooling3D(GlobalPooling):
    """The maximum over all positions of a volume: (B, D, H, W, C) -> (B, C)."""

    rank, mode = 3, "max"


class GlobalAveragePooling1D(GlobalPooling):
    """The mean over all steps, of those that count where there is a mask (B, T): (B, T, C) -> (B, C)."""

    rank, mode = 1, "mean"
    unmasked_axes = 1

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool."""
        if mask is None:
            return super().call(inputs)
        steps, channels = (1, 2) if self.data_format == "channels_last" else (2, 1)
        return kernels.masked_mean(inputs, runtime.as_tensors(mask), steps, channels, self.keepdims)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: there are no steps any more."""


class GlobalAveragePooling2D(GlobalPooling):
    """The mean over all positions of an image: (B, H, W, C) -> (B, C)."""

    rank, mode = 2, "mean"


class GlobalAveragePooling3D(GlobalPooling):
    """The mean over all positions of a volume: (B, D, H, W, C) -> (B, C)."""

    rank, mode = 3, "mean"


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D
