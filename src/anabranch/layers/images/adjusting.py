"""Layers that change the brightness and the contrast of images, each by its own draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.base import RandomImages, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor


def _contrast(value: object, owner: object, name: str) -> float | settings.Range:
    low, high = (value, value) if isinstance(value, (int, float)) else fields.pair(value, owner, name)
    if not 0 <= min(low, high) <= max(low, high) <= 1:
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be a fraction.", expected="a number or a pair in [0, 1]", got=shown(value)
        )
    return value if isinstance(value, (int, float)) else (low, high)


def contrast_range(factor: float | settings.Range) -> settings.Range:
    """Return the range that a factor of contrasts means: [1 - factor, 1 + factor]."""
    low, high = (factor, factor) if isinstance(factor, (int, float)) else factor
    return 1.0 - low, 1.0 + high


class RandomContrast(RandomImages):
    """Scale each image's distance from its channels' means by a draw from [1 - factor, 1 + factor], while training.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomContrast(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.FactorField = fields.field(
        convert=_contrast, plain=fields.listed, doc="a number, or (a, b) to draw from [1 - a, 1 + b]."
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the factor of each image."""
        return {"contrast_factor": kernels.drawn(images, (1, 1, 1), *contrast_range(self.factor), generator)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Scale."""
        return kernels.contrasted(images, transformation["contrast_factor"], self.value_range)


class RandomBrightness(RandomImages):
    """Add to each image a fraction of the range of values, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomBrightness(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(-1, 1), plain=fields.listed, doc="fractions of the range: (low, high), or ±factor."
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return what is added to each image."""
        low, high = self.value_range
        return {"rgb_delta": kernels.drawn(images, (1, 1, 1), *self.factor, generator) * (high - low)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Add."""
        return kernels.brightened(images, transformation["rgb_delta"], self.value_range)
