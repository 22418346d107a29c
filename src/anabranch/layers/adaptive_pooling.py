"""Pooling to a given size: each position of the result is the maximum or mean of its part of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from anabranch.graph import Shape
from anabranch.layers import fields
from anabranch.layers.windows import channels_of, spatial_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class AdaptivePooling(fields.FieldLayer):
    """The maximum or mean of equal parts of the spatial axes. Abstract."""

    _rule_checks_values_ = True

    rank: ClassVar[int]
    mode: ClassVar[Literal["max", "mean"]]
    _takes_integers_ = False
    _takes_one_tensor_ = True

    output_size: fields.SizesField = fields.sizes(doc="the size of each spatial axis of the result.")
    data_format: fields.DataFormatField = fields.data_format(default=None)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …spatial, C) -> (B, *output_size, C)."""
        channels = channels_of(input_shape, self.rank, self.data_format)
        return spatial_shape(input_shape, list(self.output_size), channels, self.data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """Pool."""
        return kernels.adaptive_pool(inputs, self.mode, self.output_size, self.data_format)


class AdaptiveAveragePooling1D(AdaptivePooling):
    """Take the mean of equal parts of steps, as many as ``output_size`` says: (B, T, C) -> (B, n, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveAveragePooling1D(5)(Input((20, 4))).shape
        (None, 5, 4)
    """

    rank, mode = 1, "mean"


class AdaptiveAveragePooling2D(AdaptivePooling):
    """Take the mean of equal parts of images, as many as ``output_size`` says: (B, H, W, C) -> (B, h, w, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveAveragePooling2D(5)(Input((32, 32, 3))).shape
        (None, 5, 5, 3)
    """

    rank, mode = 2, "mean"


class AdaptiveAveragePooling3D(AdaptivePooling):
    """Take the mean of equal parts of volumes, as many as ``output_size`` says: (B, D, H, W, C) -> (B, d, h, w, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveAveragePooling3D(5)(Input((8, 16, 16, 2))).shape
        (None, 5, 5, 5, 2)
    """

    rank, mode = 3, "mean"


class AdaptiveMaxPooling1D(AdaptivePooling):
    """Take the maximum of equal parts of steps, as many as ``output_size`` says: (B, T, C) -> (B, n, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveMaxPooling1D(5)(Input((20, 4))).shape
        (None, 5, 4)
    """

    rank, mode = 1, "max"


class AdaptiveMaxPooling2D(AdaptivePooling):
    """Take the maximum of equal parts of images, as many as ``output_size`` says: (B, H, W, C) -> (B, h, w, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveMaxPooling2D(5)(Input((32, 32, 3))).shape
        (None, 5, 5, 3)
    """

    rank, mode = 2, "max"


class AdaptiveMaxPooling3D(AdaptivePooling):
    """Take the maximum of equal parts of volumes, as many as ``output_size`` says: (B, D, H, W, C) -> (B, d, h, w, C).

    Example:
        >>> from anabranch import Input
        >>> AdaptiveMaxPooling3D(5)(Input((8, 16, 16, 2))).shape
        (None, 5, 5, 5, 2)
    """

    rank, mode = 3, "max"
