"""Layers that filter images or hide parts of them, each image by its own draw: sharpened, blurred, erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import runtime
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.base import RandomImages, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor

PROBABILITY = "where the probability comes from: (low, high), or a number for (0, number)."


class RandomSharpness(RandomImages):
    """Sharpen or smooth each image by a draw, while training: 0 smooths, 1/2 is as before, 1 sharpens.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomSharpness((0.25, 0.75))(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(0, 1), plain=fields.listed, doc="how sharp: (low, high), or a number for (0, number)."
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how sharp each image becomes."""
        return {"factor": kernels.drawn(images, (), *self.factor, generator)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Sharpen."""
        return kernels.cut(kernels.sharpened(images, transformation["factor"]), self.value_range)


def _odd(value: object, owner: object, name: str) -> tuple[int, int]:
    found = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(found) != 2 or not all(is_integer(each) and each > 0 and each % 2 for each in found):
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be odd.", expected="an odd integer, or two", got=shown(value)
        )
    return found


class RandomGaussianBlur(RandomImages):
    """Blur images, each with a probability and by standard deviations that are drawn, while training.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomGaussianBlur(0.5, kernel_size=5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed, doc=PROBABILITY
    )
    kernel_size: fields.SizesField = fields.field(
        default=3, convert=_odd, plain=fields.listed, doc="how many columns and rows the Gaussian covers, odd."
    )
    sigma: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="where the standard deviations come from, in pixels: (low, high), or a number for (0, number).",
    )  # fmt: skip
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images are blurred, and how far."""
        which = settings.chosen(images, self.factor, generator)
        return {"should_apply_blur": which, "blur_factor": kernels.drawn(images, (2,), *self.sigma, generator) + 1e-6}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Blur."""
        columns, rows = self.kernel_size
        found = kernels.blurred(images, (columns, rows), transformation["blur_factor"])
        return kernels.cut(kernels.chosen(images, transformation["should_apply_blur"], found), self.value_range)


def _filling(value: object, owner: object, name: str) -> Any:
    numbers = value if isinstance(value, (list, tuple)) and len(value) == 3 else (value,)
    if value is not None and not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in numbers):
        raise ArgumentError(
            f"{name} of {type(owner).__name__} must be a color.", expected="a number, three numbers, or None", got=shown(value)
        )
    return tuple(numbers) if isinstance(value, (list, tuple)) else value


class RandomErasing(RandomImages):
    """Fill a rectangle of images, each with a probability and at a place that are drawn, while training (Zhong et al. 2020).

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomErasing(0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed, doc=PROBABILITY
    )
    scale: settings.RangeFactorField = fields.field(
        default=(0.02, 0.33), convert=settings.within(0, 1), plain=fields.listed,
        doc="the squares of height and width of the rectangle, as fractions of the image's: (low, high), or (0, number).",
    )  # fmt: skip
    fill_value: fields.Field[float | Sequence[float] | None, float | tuple[float, ...] | None] = fields.field(
        default=None, convert=_filling, plain=fields.listed, doc="the color of the rectangle; None: normal noise."
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images are erased where, and by what."""
        shape, axis = runtime.sizes(images, 4), self.axis_of_height()
        height, width = shape[axis], shape[axis + 1]
        parts = kernels.drawn(images, (2,), *self.scale, generator).sqrt()
        starts, ends = [], []
        for place, length in enumerate((width, height)):
            size = parts[:, place] * length
            start = kernels.drawn(images, (), 0.0, 1.0, generator) * (length - size)
            starts.append(start)
            ends.append(start + size)
        where = kernels.rectangles((starts[0], starts[1]), (ends[0], ends[1]), height, width)
        which = settings.chosen(images, self.factor, generator)
        color = self._color(images, shape, generator)
        last = self.data_format == "channels_last"
        return {"apply_erasing": which, "batch_masks": where[..., None] if last else where[:, None], "fill_value": color}

    def _color(self, images: Tensor, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        if self.fill_value is None:
            return kernels.cut(kernels.normal(images, shape, generator) * self.value_range[1], self.value_range)
        channels = (1, 1, 1, -1) if self.data_format == "channels_last" else (1, -1, 1, 1)
        color = kernels.weights_like(kernels.cast(images, self.compute_dtype), _listed(self.fill_value))
        return kernels.cut(color.reshape(channels), self.value_range)

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Fill."""
        where, color = transformation["batch_masks"], transformation["fill_value"]
        if self.data_format != "channels_last":
            where, color = kernels.permute(where, (0, 2, 3, 1)), kernels.permute(color, (0, 2, 3, 1))
        return kernels.chosen(images, transformation["apply_erasing"], kernels.erased(images, where, color))


def _listed(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
