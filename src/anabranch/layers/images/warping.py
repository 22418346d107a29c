"""Layers that move the pixels of images, each image by its own draw: mirrored, shifted, turned, scaled, sheared, bent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from anabranch import runtime
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

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: Any, width: Any) -> Tensor:
        """Mirror boxes."""
        for axis, chosen in self._chosen(transformation):
            boxes = kernels.mirrored_boxes(boxes, chosen, width if axis == 2 else height, 2 - axis)
        return boxes


class Warp(RandomMoves):
    """A change of each image's position, angle or size. Abstract."""

    kind: ClassVar[str] = "affine"

    fill_mode: settings.FillField = fields.choice(
        "reflect", "wrap", "constant", "nearest", default="reflect", doc=settings.FILL_DOC, kw_only=True
    )
    interpolation: settings.InterpolationField = fields.choice(
        "bilinear", "nearest", default="bilinear", doc=settings.INTERPOLATION_DOC, kw_only=True
    )
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    fill_value: fields.NumberField = fields.number(default=0.0, doc=settings.FILL_VALUE_DOC, kw_only=True)

    def maps(self, transformation: Transformation, height: Any, width: Any) -> Tensor:
        """Return the maps (B, 8) by which images are read."""
        raise NotImplementedError(f"{type(self).__name__} must write maps(transformation, height, width)")

    def change(self, images: Tensor, transformation: Transformation, interpolation: str | None = None) -> Tensor:
        """Read images elsewhere."""
        lengths = runtime.sizes(images, 4)
        how = kernels.Sampling(self.fill_mode, interpolation or self.interpolation, self.fill_value, self.compute_dtype)
        found = kernels.projected(images, self.maps(transformation, lengths[1], lengths[2]), how, lengths, self.kind)
        return kernels.as_dtype_of(found, images)

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Read masks elsewhere, each pixel that of the nearest."""
        return self.change(masks, transformation, "nearest")

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: Any, width: Any) -> Tensor:
        """Return the boxes around those that were moved."""
        return kernels.moved(boxes, self.maps(transformation, height, width))


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

    def maps(self, transformation: Transformation, height: Any, width: Any) -> Tensor:
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

    def maps(self, transformation: Transformation, height: Any, width: Any) -> Tensor:
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

    def maps(self, transformation: Transformation, height: Any, width: Any) -> Tensor:
        """Return scalings about the middle."""
        return kernels.zooming(transformation["width_zoom"], transformation["height_zoom"], height, width)
