"""Pooling: the maximum or mean of windows, or of all positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from anabranch import runtime
from anabranch.graph import Shape, Window
from anabranch.layers import fields
from anabranch.layers.mask_rule import check_fits
from anabranch.layers.windows import channels_of, spatial_shape, windows_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class Pooling(fields.FieldLayer):
    """The maximum or mean of each window. Abstract: MaxPooling2D, AveragePooling2D, …"""

    _rule_checks_values_ = True

    rank: ClassVar[int]
    mode: ClassVar[Literal["max", "mean"]]
    _takes_integers_ = False
    _takes_one_tensor_ = True
    _others_by_position_ = {"name": fields.NAME_DOC}

    pool_size: fields.SizesField = fields.sizes(default=2, doc="the window's length along each spatial axis.")
    strides: fields.Field[int | tuple[int, ...] | None, tuple[int, ...]] = fields.sizes(
        default=None, optional=True, doc="by how many positions the window moves; None: the pool size."
    )
    padding: fields.PaddingField = fields.padding(default="valid")
    data_format: fields.DataFormatField = fields.data_format(default=None)

    def _check_(self) -> None:
        if self.strides is None:
            setattr(self, type(self)._fields_["strides"].key, self.pool_size)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, …positions, C)."""
        channels = channels_of(input_shape, self.rank, self.data_format)
        ones = (1,) * self.rank
        return windows_shape(input_shape, self.pool_size, self.strides, self.padding, self.data_format, ones, channels)

    def _local_window_(self) -> Window | None:
        """Return the window that slides along the spatial axes."""
        return Window(self.strides, self.padding)

    def call(self, inputs: Tensor) -> Tensor:
        """Pool."""
        return kernels.pool(inputs, self.mode, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(Pooling):
    """Take the maximum of each window: (B, T, C) -> (B, T', C).

    Example:
        >>> from anabranch import Input
        >>> MaxPooling1D()(Input((20, 4))).shape
        (None, 10, 4)
    """

    rank, mode = 1, "max"


class MaxPooling2D(Pooling):
    """Take the maximum of each window: (B, H, W, C) -> (B, H', W', C).

    Example:
        >>> from anabranch import Input
        >>> MaxPooling2D()(Input((32, 32, 3))).shape
        (None, 16, 16, 3)
    """

    rank, mode = 2, "max"


class MaxPooling3D(Pooling):
    """Take the maximum of each window: (B, D, H, W, C) -> (B, D', H', W', C).

    Example:
        >>> from anabranch import Input
        >>> MaxPooling3D()(Input((8, 16, 16, 2))).shape
        (None, 4, 8, 8, 2)
    """

    rank, mode = 3, "max"


class AveragePooling1D(Pooling):
    """Take the mean of each window: (B, T, C) -> (B, T', C); padding is not counted.

    Example:
        >>> from anabranch import Input
        >>> AveragePooling1D()(Input((20, 4))).shape
        (None, 10, 4)
    """

    rank, mode = 1, "mean"


class AveragePooling2D(Pooling):
    """Take the mean of each window: (B, H, W, C) -> (B, H', W', C); padding is not counted.

    Example:
        >>> from anabranch import Input
        >>> AveragePooling2D()(Input((32, 32, 3))).shape
        (None, 16, 16, 3)
    """

    rank, mode = 2, "mean"


class AveragePooling3D(Pooling):
    """Take the mean of each window: (B, D, H, W, C) -> (B, D', H', W', C); padding is not counted.

    Example:
        >>> from anabranch import Input
        >>> AveragePooling3D()(Input((8, 16, 16, 2))).shape
        (None, 4, 8, 8, 2)
    """

    rank, mode = 3, "mean"


class GlobalPooling(fields.FieldLayer):
    """The maximum or mean over all positions. Abstract."""

    _rule_checks_values_ = True

    rank: ClassVar[int]
    mode: ClassVar[Literal["max", "mean"]]
    _takes_integers_ = False
    _takes_one_tensor_ = True

    data_format: fields.DataFormatField = fields.data_format(default=None)
    keepdims: fields.BooleanField = fields.boolean(default=False, doc="whether the spatial axes stay, with size 1.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, C), or (B, 1, …, C) with keepdims."""
        channels = channels_of(input_shape, self.rank, self.data_format)
        return spatial_shape(input_shape, [1] * self.rank if self.keepdims else [], channels, self.data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """Pool."""
        return kernels.global_pool(inputs, self.mode, self.rank, self.data_format, self.keepdims)


class GlobalMaxPooling1D(GlobalPooling):
    """Take the maximum over all steps: (B, T, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalMaxPooling1D()(Input((20, 4))).shape
        (None, 4)
    """

    rank, mode = 1, "max"


class GlobalMaxPooling2D(GlobalPooling):
    """Take the maximum over all positions of an image: (B, H, W, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalMaxPooling2D()(Input((32, 32, 3))).shape
        (None, 3)
    """

    rank, mode = 2, "max"


class GlobalMaxPooling3D(GlobalPooling):
    """Take the maximum over all positions of a volume: (B, D, H, W, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalMaxPooling3D()(Input((8, 16, 16, 2))).shape
        (None, 2)
    """

    rank, mode = 3, "max"


class GlobalAveragePooling1D(GlobalPooling):
    """Take the mean over all steps, of those that count where there is a mask (B, T): (B, T, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalAveragePooling1D()(Input((20, 4))).shape
        (None, 4)
    """

    rank, mode = 1, "mean"
    _unmasked_axes_ = 1

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool."""
        if mask is None:
            return super().call(inputs)
        steps, channels = (1, 2) if self.data_format == "channels_last" else (2, 1)
        shape, mask = runtime.shape_of(inputs), runtime.as_tensors(mask)
        check_fits(self._described_(), mask, None if shape is None else (shape[0], shape[steps]))
        return kernels.masked_mean(inputs, mask, steps, channels, self.keepdims)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        """Return None: there are no steps any more."""


class GlobalAveragePooling2D(GlobalPooling):
    """Take the mean over all positions of an image: (B, H, W, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalAveragePooling2D()(Input((32, 32, 3))).shape
        (None, 3)
    """

    rank, mode = 2, "mean"


class GlobalAveragePooling3D(GlobalPooling):
    """Take the mean over all positions of a volume: (B, D, H, W, C) -> (B, C).

    Example:
        >>> from anabranch import Input
        >>> GlobalAveragePooling3D()(Input((8, 16, 16, 2))).shape
        (None, 2)
    """

    rank, mode = 3, "mean"


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D
