"""Layers that change the colors of images, each by its own draw: hue, saturation, greys, inversion, fewer values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import runtime
from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.adjusting import contrast_range
from anabranch.layers.images.base import RandomImages, Transformation, check_colors
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor


class OfColors(RandomImages):
    """A random change of colors, (B, H, W, 3), while training. Abstract."""

    value_range: settings.RangeField = fields.value_range(default=(0, 255), kw_only=True)
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, of three channels."""
        check_colors(super().compute_output_shape(input_shape), self.data_format)
        return input_shape


class RandomHue(OfColors):
    """Turn the hue of each image by up to half of the circle of hues, times a draw, while training: (B, H, W, 3) -> same.

    Example:
        >>> from anabranch import Input
        >>> RandomHue(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(0, 1), plain=fields.listed, doc="how far: (low, high), or a number for (0, number)."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the turn of each image."""
        sign = kernels.signs(kernels.drawn(images, (), 0.0, 1.0, generator))
        return {"factor": sign * kernels.drawn(images, (), *self.factor, generator) * 0.5}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Turn."""
        images = kernels.rescaled(images, self.value_range, (0, 1))
        images = kernels.hue_shifted(images, transformation["factor"], self.compute_dtype)
        return kernels.rescaled(images, (0, 1), self.value_range)


class RandomSaturation(OfColors):
    """Scale the saturation of each image by f / (1 - f), f a draw, while training: 0 is grey, 1/2 as before.

    Shapes: (B, H, W, 3) -> (B, H, W, 3).

    Example:
        >>> from anabranch import Input
        >>> RandomSaturation((0.4, 0.6))(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(-1, 1),
        plain=fields.listed,
        doc="where f comes from: (low, high), or ±factor; below 0 is grey too.",
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the factor of each image."""
        found = kernels.drawn(images, (), *self.factor, generator)
        return {"factor": found / (1 - found + 1e-7)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Scale."""
        return kernels.saturated(images, transformation["factor"], self.compute_dtype)


class RandomColorDegeneration(OfColors):
    """Move the colors of each image toward its greys by a draw, while training: 0 is as before, 1 grey.

    Shapes: (B, H, W, 3) -> (B, H, W, 3).

    Example:
        >>> from anabranch import Input
        >>> RandomColorDegeneration(0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(-1, 1), plain=fields.listed, doc="how far: (low, high), or ±factor."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how far each image moves."""
        return {"factor": kernels.drawn(images, (1, 1, 1), *self.factor, generator)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Move."""
        return kernels.cut(kernels.greyed(images, transformation["factor"]), self.value_range)


def _probability(value: object, owner: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentError(f"{name} of {type(owner).__name__} must be a number.", expected="in [0, 1]", got=repr(value))
    settings.bounded_range(value, owner, name, 0, 1)
    return value


class RandomGrayscale(RandomImages):
    """Make images grey, each with a probability, while training: (B, H, W, 3) -> (B, H, W, 3).

    Example:
        >>> from anabranch import Input
        >>> RandomGrayscale(0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: fields.NumberField = fields.field(default=0.5, convert=_probability, doc="the probability.")
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, of one or three channels."""
        check_colors(super().compute_output_shape(input_shape), self.data_format, 1, 3)
        return input_shape

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images become grey."""
        return kernels.drawn(images, (1, 1, 1), 0.0, 1.0, generator) < self.factor

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Make grey."""
        if runtime.sizes(images, 4)[3] == 1:
            return images
        return kernels.chosen(images, transformation, kernels.grey(images, 3))


class RandomInvert(RandomImages):
    """Invert images, greatest value - x, each with a probability that is drawn, while training: (B, H, W, C) -> same.

    Example:
        >>> from anabranch import Input
        >>> RandomInvert(0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="where the probability comes from: (low, high), or a number for (0, number).",
    )  # fmt: skip
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images are inverted."""
        return {"apply_inversion": settings.chosen(images, self.factor, generator)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Invert."""
        return kernels.chosen(images, transformation["apply_inversion"], self.value_range[1] - images)


class RandomPosterization(RandomImages):
    """Keep only the first bits of each value, as many as are drawn for each image, while training: (B, H, W, C) -> same.

    Example:
        >>> from anabranch import Input
        >>> RandomPosterization(4)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(1, 8),
        plain=settings.whole,
        doc="how many bits: (low, high), high excluded, or a number for (1, number).",
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how many bits of each image are lost."""
        low, high = self.factor
        return {"shift_factor": 8 - kernels.drawn(images, (), low, high, generator).floor()}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Cut."""
        images = kernels.rescaled(images, self.value_range, (0, 255))
        return kernels.rescaled(kernels.posterized(images, transformation["shift_factor"]), (0, 255), self.value_range)


class Solarization(RandomImages):
    """Add a draw to each image and invert what reaches a drawn threshold, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> Solarization(threshold_factor=0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    addition_factor: settings.RangeFactorField = fields.field(
        default=0.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="what is added, as a fraction of the range: (low, high), or a number for (0, number).",
    )  # fmt: skip
    threshold_factor: settings.RangeFactorField = fields.field(
        default=0.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="the threshold, as a fraction of the range: (low, high), or a number for (0, number).",
    )  # fmt: skip
    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return addition and threshold of each image, of 255."""
        return {
            name: kernels.drawn(images, (1, 1, 1), *factor, generator) * 255
            for name, factor in (("additions", self.addition_factor), ("thresholds", self.threshold_factor))
        }

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Add and invert."""
        images = kernels.rescaled(images, self.value_range, (0, 255))
        images = kernels.solarized(images, transformation["additions"], transformation["thresholds"])
        return kernels.rescaled(images, (0, 255), self.value_range)


def _given(bounds: tuple[float, float]) -> Any:
    """Return what reads an optional range, which stays as it was given."""

    def convert(value: object, owner: object, name: str) -> object:
        if value is not None:
            settings.bounded_range(value, owner, name, *bounds)
        return tuple(value) if isinstance(value, (list, tuple)) else value

    return convert


class RandomColorJitter(RandomImages):
    """Change brightness, contrast, saturation and hue of each image, as far as factors are given, while training.

    Shapes: (B, H, W, 3) -> (B, H, W, 3).

    Example:
        >>> from anabranch import Input
        >>> RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    brightness_factor: settings.OptionalFactorField = fields.field(
        default=None, convert=_given((-1, 1)), plain=fields.listed, doc="as ``factor`` of RandomBrightness; None: it stays."
    )
    contrast_factor: settings.OptionalFactorField = fields.field(
        default=None, convert=_given((0, 1)), plain=fields.listed, doc="as ``factor`` of RandomContrast; None: it stays."
    )
    saturation_factor: settings.OptionalFactorField = fields.field(
        default=None, convert=_given((-1, 1)), plain=fields.listed, doc="as ``factor`` of RandomSaturation; None: it stays."
    )
    hue_factor: settings.OptionalFactorField = fields.field(
        default=None, convert=_given((0, 1)), plain=fields.listed, doc="as ``factor`` of RandomHue; None: it stays."
    )
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return what is drawn for each of the four."""
        found = {}
        low, high = self.value_range
        if self.brightness_factor is not None:
            reach = settings.reach(self.brightness_factor)
            found["rgb_delta"] = kernels.drawn(images, (1, 1, 1), *reach, generator) * (high - low)
        if self.contrast_factor is not None:
            found["contrast_factor"] = kernels.drawn(images, (1, 1, 1), *contrast_range(self.contrast_factor), generator)
        if self.saturation_factor is not None:
            part = kernels.drawn(images, (), *settings.reach(self.saturation_factor), generator)
            found["saturation_factor"] = part / (1 - part + 1e-7)
        if self.hue_factor is not None:
            sign = kernels.signs(kernels.drawn(images, (), 0.0, 1.0, generator))
            found["hue_factor"] = sign * kernels.drawn(images, (), *settings.positive(self.hue_factor), generator) * 0.5
        return found

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Change the four, in this order."""
        if "rgb_delta" in transformation:
            images = kernels.brightened(images, transformation["rgb_delta"], self.value_range)
        if "contrast_factor" in transformation:
            images = kernels.contrasted(images, transformation["contrast_factor"], self.value_range)
        if "saturation_factor" in transformation:
            images = kernels.saturated(images, transformation["saturation_factor"], self.compute_dtype)
        if "hue_factor" in transformation:
            images = kernels.rescaled(images, self.value_range, (0, 1))
            images = kernels.hue_shifted(images, transformation["hue_factor"], self.compute_dtype)
            images = kernels.rescaled(images, (0, 1), self.value_range)
        return images
