"""Layers that spread the values of images over the whole range: by their extremes, by histograms, by those of tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import runtime
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.base import ImageLayer, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class AutoContrast(ImageLayer):
    """Stretch each channel of each image to the whole range of values: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> import numpy as np
        >>> AutoContrast((0, 1))(np.array([[[[0.25], [0.75]]]])).flatten().tolist()
        [0.0, 1.0]
    """

    value_range: settings.RangeField = fields.value_range(default=(0, 255))

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Stretch."""
        return kernels.stretched(images, self.value_range)


class Equalization(ImageLayer):
    """Make all values of each channel of each image about equally frequent, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> import numpy as np
        >>> Equalization()(np.array([[[[10.0], [10.0], [11.0], [12.0]]]]), training=True).flatten().tolist()
        [0.0, 0.0, 128.0, 255.0]
    """

    in_training_only = True

    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    bins: fields.Field[int, int] = fields.integer(default=256, doc="how many groups of values there are.")
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Equalize."""
        low, high = self.value_range
        scale, back = 255 / (high - low), (high - low) / 255
        found = images * scale - low * scale  # rounded as in Keras, since a bit decides between two bins
        return kernels.equalized(found, self.bins, runtime.sizes(images, 4)) * back + low


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Equalize the values around each pixel by the histograms of tiles, whose peaks are cut (CLAHE, Zuiderveld 1994).

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(4, 4))(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    clip_limit: fields.NumberField = fields.number(
        default=4.0, doc="where a tile's histogram is cut, in multiples of its mean; 0 or less: nowhere."
    )
    tile_grid_size: fields.SizesField = fields.field(
        default=(8, 8), convert=settings.two_sizes, plain=fields.listed, doc="how many tiles there are down and across."
    )
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Equalize."""
        rows, columns = self.tile_grid_size
        wide = kernels.wide(images, self.compute_dtype)  # in 16 bits, levels would be off by one
        found = kernels.rescaled(wide, self.value_range, (0, 255))
        found = kernels.equalized_by_tiles(found, (rows, columns), self.clip_limit, runtime.sizes(images, 4))
        return kernels.as_dtype_of(kernels.rescaled(found, (0, 255), self.value_range), images)
