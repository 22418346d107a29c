"""Layers that move the pixels of images, each image by its own draw: mirrored, shifted, turned, scaled, sheared, bent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from anabranch import runtime
from anabranch._errors import ArgumentError
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.base import Moving, RandomImages, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor

Mode: TypeAlias = Literal["horizontal", "vertical", "horizontal_and_vertical"]


class RandomMoves(RandomImages, Moving):
    """A random change of where pixels are, while training. Abstract."""


class RandomFlip(RandomMoves):
    """Mirror each image with probability 1/2 in each direction of ``mode``, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomFlip("horizontal")(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    axes: ClassVar[dict[str, tuple[int, ...]]] = {
        "horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (2, 1)
    }  # fmt: skip

    mode: fields.Field[Mode, str] = fields.choice(
        *axes, default="horizontal_and_vertical",
        doc='"horizontal" (left to right), "vertical", or "horizontal_and_vertical", each by its own draw.',
    )  # fmt: skip

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images are mirrored; where there are two directions, also which from top to bottom."""
        names = ("flips", "vertical_flips")[: len(self.axes[self.mode])]
        found: dict[str, Any] = {name: kernels.drawn(images, (1, 1, 1), 0.0, 1.0, generator) < 0.5 for name in names}
        return found | {"input_shape": runtime.sizes(images, 4)}

    def _chosen(self, transformation: Transformation) -> list[tuple[int, Tensor]]:
        flips = transformation["flips"]
        both = (flips, transformation.get("vertical_flips", flips))
        return list(zip(self.axes[self.mode], both, strict=False))

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Mirror."""
        for axis, chosen in self._chosen(transformation):
            images = kernels.mirrored(images, chosen, axis)
        return images

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Mirror boxes."""
        for axis, chosen in self._chosen(transformation):
            boxes = kernels.mirrored_boxes(boxes, chosen, width if axis == 2 else height, 2 - axis)
        return boxes


class Reading(RandomMoves):
    """A change of where each pixel is read. Abstract."""

    fill_mode: Any = "constant"
    interpolation: settings.InterpolationField = fields.choice(
        "bilinear", "nearest", default="bilinear", doc=settings.INTERPOLATION_DOC, kw_only=True
    )
    fill_value: fields.NumberField = fields.number(default=0.0, doc=settings.FILL_VALUE_DOC, kw_only=True)

    def read(self, images: Tensor, transformation: Transformation, how: kernels.Sampling) -> Tensor:
        """Return images (B, H, W, C) read elsewhere."""
        raise NotImplementedError(f"{type(self).__name__} must write read(images, transformation, how)")

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Read images elsewhere."""
        how = kernels.Sampling(self.fill_mode, self.interpolation, self.fill_value, self.compute_dtype)
        return kernels.as_dtype_of(self.read(images, transformation, how), images)

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Read masks elsewhere, each pixel that of the nearest."""
        how = kernels.Sampling(self.fill_mode, "nearest", self.fill_value, self.compute_dtype)
        return kernels.as_dtype_of(self.read(masks, transformation, how), masks)


class Projecting(Reading):
    """A change by a map of the plane. Abstract."""

    kind: ClassVar[str] = "affine"

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return the maps (B, 8) by which images are read."""
        raise NotImplementedError(f"{type(self).__name__} must write maps(transformation, height, width)")

    def read(self, images: Tensor, transformation: Transformation, how: kernels.Sampling) -> Tensor:
        """Return images read by maps."""
        lengths = runtime.sizes(images, 4)
        return kernels.projected(images, self.maps(transformation, lengths[1], lengths[2]), how, lengths, self.kind)

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return the boxes around those that were moved."""
        return kernels.moved(boxes, self.maps(transformation, height, width))


class Warp(Projecting):
    """A change of each image's position, angle or size. Abstract."""

    fill_mode: settings.FillField = fields.choice(
        "reflect", "wrap", "constant", "nearest", default="reflect", doc=settings.FILL_DOC, kw_only=True
    )
    interpolation: settings.InterpolationField = fields.choice(
        "bilinear", "nearest", default="bilinear", doc=settings.INTERPOLATION_DOC, kw_only=True
    )
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    fill_value: fields.NumberField = fields.number(default=0.0, doc=settings.FILL_VALUE_DOC, kw_only=True)


class RandomTranslation(Warp):
    """Shift each image by its own fraction of height and width, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomTranslation(0.1, 0.1)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    kind = "scaling"

    height_factor: settings.FactorField = fields.field(
        convert=settings.unread, plain=fields.listed, doc="fractions of the height, down: (low, high), or ±factor."
    )
    width_factor: settings.FactorField = fields.field(
        convert=settings.unread, plain=fields.listed, doc="fractions of the width, right: (low, high), or ±factor."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how many pixels each image moves right and down."""
        shape, axis = runtime.sizes(images, 4), self.axis_of_height()
        down = kernels.drawn(images, (1,), *settings.reach(self.height_factor), generator) * shape[axis]
        right = kernels.drawn(images, (1,), *settings.reach(self.width_factor), generator) * shape[axis + 1]
        return {"translations": kernels.concatenate([right, down], 1), "input_shape": shape}

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return shifts."""
        return kernels.shifting(transformation["translations"])


class RandomRotation(Warp):
    """Turn each image about its middle, counter-clockwise, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomRotation(0.05)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    factor: settings.RangeFactorField = fields.field(
        convert=settings.within(-1, 1), plain=fields.listed, doc="fractions of a full turn: (low, high), or ±factor."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the angle of each image, in degrees."""
        shape, axis = runtime.sizes(images, 4), self.axis_of_height()
        angle = kernels.drawn(images, (), *self.factor, generator) * 360.0
        return {"angle": angle, "image_height": shape[axis], "image_width": shape[axis + 1], "batch_size": shape[0]}

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return height and width."""
        return transformation["image_height"], transformation["image_width"]

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return turns."""
        return kernels.turning(transformation["angle"], height, width)


class RandomZoom(Warp):
    """Show 1 + a fraction of each image's height and width, while training: above 0 it gets smaller.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomZoom((-0.2, 0.0))(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    kind = "scaling"

    height_factor: settings.FactorField = fields.field(
        convert=settings.unread, plain=fields.listed, doc="fractions of the height: (low, high), or ±factor."
    )
    width_factor: fields.Field[float | Sequence[float] | None, float | settings.Range | None] = fields.field(
        default=None, convert=settings.unread, plain=fields.listed,
        doc="fractions of the width; None: the ratio of the sides stays.",
    )  # fmt: skip

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how much of each image is shown, as factors."""
        low, high = settings.reach(self.height_factor)
        tall = wide = kernels.drawn(images, (1,), 1 + low, 1 + high, generator)
        if self.width_factor is not None:
            low, high = settings.reach(self.width_factor)
            wide = kernels.drawn(images, (1,), 1 + low, 1 + high, generator)
        return {"height_zoom": tall, "width_zoom": wide, "input_shape": runtime.sizes(images, 4)}

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return scalings about the middle."""
        return kernels.zooming(transformation["width_zoom"], transformation["height_zoom"], height, width)


def _sheared(value: object, owner: object, name: str) -> settings.Range:
    """Return the range that a number, ±number, or a pair means."""
    if isinstance(value, (int, float)):
        settings.bounded_range(value, owner, name, 0, 1)
    return settings.bounded_range(value, owner, name, -1, 1)


class RandomShear(Warp):
    """Shear each image along columns and along rows by draws, while training: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomShear(0.2, 0.1)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    _field_order_ = ("x_factor", "y_factor", "interpolation", "fill_mode", "fill_value", "data_format", "seed")

    x_factor: settings.RangeFactorField = fields.field(
        default=0.0, convert=_sheared, plain=settings.written, doc="pixels to the side for each row: (low, high), or ±factor."
    )
    y_factor: settings.RangeFactorField = fields.field(
        default=0.0, convert=_sheared, plain=settings.written, doc="pixels down for each column: (low, high), or ±factor."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return how far each image is sheared, along columns and along rows."""
        sign = kernels.signs(kernels.drawn(images, (1,), 0.0, 1.0, generator))
        parts = [kernels.drawn(images, (1,), *factor, generator) * sign for factor in (self.x_factor, self.y_factor)]
        return {"shear_factor": kernels.concatenate(parts, 1), "input_shape": runtime.sizes(images, 4)}

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return shears."""
        return kernels.shearing(transformation["shear_factor"])


class RandomPerspective(Projecting):
    """Move the corners of images, each with a probability and by fractions that are drawn, while training.

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomPerspective(0.5, scale=0.3)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    kind = "perspective"
    _field_order_ = ("factor", "scale", "interpolation", "fill_value", "seed", "data_format")

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="where the probability comes from: (low, high), or a number for (0, number).",
    )  # fmt: skip
    scale: fields.NumberField = fields.number(
        default=1.0, least=0, most=1, doc="how far corners move at most: half of it, as a fraction of height and width."
    )

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images change, and where their corners are before and afterwards."""
        shape, axis = runtime.sizes(images, 4), self.axis_of_height()
        which = settings.chosen(images, self.factor, generator)
        by = kernels.drawn(images, (4, 2), -0.5 * self.scale, 0.5 * self.scale, generator)
        start = kernels.corner_points(by[:, 0], shape[axis], shape[axis + 1])
        return {"apply_perspective": which, "start_points": start, "end_points": start + start * by, "input_shape": shape}

    def maps(self, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return the maps from the corners afterwards to those before."""
        return kernels.homography(transformation["start_points"], transformation["end_points"])

    def read(self, images: Tensor, transformation: Transformation, how: kernels.Sampling) -> Tensor:
        """Return the chosen images read by maps."""
        return kernels.chosen(images, transformation["apply_perspective"], super().read(images, transformation, how))

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return the boxes of the chosen images around those that were moved."""
        found = super().change_boxes(boxes, transformation, height, width)
        return kernels.boxes_chosen(boxes, transformation["apply_perspective"], found)


class RandomElasticTransform(Reading):
    """Bend images by smooth random distances, each with a probability that is drawn, while training (Simard et al. 2003, §2).

    Shapes: (B, H, W, C) -> (B, H, W, C).

    Example:
        >>> from anabranch import Input
        >>> RandomElasticTransform(0.5, scale=0.5)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    _field_order_ = ("factor", "scale", "interpolation", "fill_mode", "fill_value", "value_range", "seed", "data_format")

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="where the probability comes from: (low, high), or a number for (0, number).",
    )  # fmt: skip
    scale: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="how far and how smoothly pixels move: (low, high), or a number for (0, number).",
    )  # fmt: skip
    fill_mode: fields.Field[Literal["reflect", "wrap", "constant", "nearest", "mirror"], str] = fields.choice(
        "reflect", "wrap", "constant", "nearest", "mirror", default="reflect", doc=settings.FILL_DOC
    )
    value_range: settings.RangeField = fields.value_range(default=(0, 255))

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which images change, how far, and the noise that bends them."""
        batch, *_ = shape = runtime.sizes(images, 4)
        height, width = shape[self.axis_of_height()], shape[self.axis_of_height() + 1]
        which = settings.chosen(images, self.factor, generator)
        by = kernels.drawn(images, (), *self.scale, generator)
        noise = kernels.normal(images, (batch, height, width, 2), generator)
        return {"apply_transform": which, "distortion_factor": by, "noise": noise, "input_shape": shape}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Bend."""
        return kernels.cut(super().change(images, transformation), self.value_range)

    def read(self, images: Tensor, transformation: Transformation, how: kernels.Sampling) -> Tensor:
        """Return the chosen images read where the noise says."""
        lengths, by = runtime.sizes(images, 4), transformation["distortion_factor"]
        height, width = lengths[1:3]
        wide = int(6 * 0.05 * self.scale[1] * min(height, width)) | 1
        rows, columns = kernels.bent(
            transformation["noise"], by * 0.1 * max(height, width), by * 0.05 * min(height, width), wide, (height, width)
        )
        found = kernels.sampled(images, rows, columns, how, lengths)
        return kernels.chosen(images, transformation["apply_transform"], found)

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Refuse: what becomes of a box depends on all that is in it."""
        raise ArgumentError(
            "RandomElasticTransform moves no bounding boxes.",
            repair="RandomRotation, RandomShear or RandomZoom, which move boxes",
        )
