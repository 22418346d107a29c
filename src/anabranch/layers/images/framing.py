"""Layers that give images another size: resized, cropped in the middle or at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from anabranch import ops, runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.layers import fields
from anabranch.layers.images.base import Moving, Transformation, check_images
from anabranch.layers.regularization import Drawing
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor


class Framed(Moving):
    """A layer whose images all have one height and width. Abstract."""

    height: fields.Field[int, int] = fields.integer(doc="the height of the result.")
    width: fields.Field[int, int] = fields.integer(doc="the width of the result.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) -> (B, height, width, C)."""
        check_images(input_shape)
        first = len(input_shape) + self.axis_of_height()
        return (*input_shape[:first], self.height, self.width, *input_shape[first + 2 :])

    def sizes_after(self, height: int, width: int) -> tuple[Any, Any]:
        """Return ``height`` and ``width``."""
        return self.height, self.width

    def sizes_of(self, images: Tensor) -> tuple[Any, Any]:
        """Return height and width of a batch of images."""
        found = runtime.sizes(images, 4)
        return found[self.axis_of_height()], found[self.axis_of_height() + 1]


class Resizing(Framed):
    """Resize images: (B, H, W, C) -> (B, height, width, C). Integers stay integers, rounded.

    Example:
        >>> from anabranch import Input
        >>> Resizing(24, 24)(Input((32, 48, 3))).shape
        (None, 24, 24, 3)
    """

    _field_order_ = ("height", "width")
    interpolation: fields.Field[Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"], str] = fields.choice(
        "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", default="bilinear",
        doc='"bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".',
    )  # fmt: skip
    crop_to_aspect_ratio: fields.BooleanField = fields.boolean(
        default=False, doc="whether to crop to the new aspect ratio first, instead of stretching."
    )
    pad_to_aspect_ratio: fields.BooleanField = fields.boolean(
        default=False, doc="whether to pad to the new aspect ratio first, instead of stretching."
    )
    fill_mode: fields.Field[Literal["constant"], str] = fields.choice("constant", default="constant", doc='only "constant".')
    fill_value: fields.NumberField = fields.number(default=0.0, doc="the value of padding.")
    antialias: fields.BooleanField = fields.boolean(default=False, doc="whether a pixel averages over all that it covers.")

    def _check_(self) -> None:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ArgumentError(
                "Images are cropped or padded to the aspect ratio, not both.",
                got="crop_to_aspect_ratio=True, pad_to_aspect_ratio=True", where=self._place_() or None,
            )  # fmt: skip

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return what the layer computes in for floats; integers stay."""
        return self.compute_dtype if "float" in input_dtypes[0] and self.autocast else input_dtypes[0]

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return height and width before."""
        return self.sizes_of(images)

    def transform_images(self, images: Any, transformation: Transformation = None, training: bool = True) -> Tensor:
        """Return images resized."""
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Return masks resized, each pixel that of the nearest."""
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images: Any, interpolation: str) -> Tensor:
        return ops.image.resize(
            images, (self.height, self.width), interpolation, self.antialias, self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio, self.fill_mode, self.fill_value, self.data_format,
        )  # fmt: skip

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return height and width before."""
        height, width = transformation
        return height, width

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return boxes in resized images; the bands of a ratio are counted in whole pixels."""
        tall, wide = self.height / height, self.width / width
        if self.pad_to_aspect_ratio or self.crop_to_aspect_ratio:
            tall = wide = min(tall, wide) if self.pad_to_aspect_ratio else max(tall, wide)
        if self.crop_to_aspect_ratio:
            below, beside = -((height * tall - self.height) // 2), -((width * wide - self.width) // 2)
        else:
            below, beside = (self.height - height * tall) // 2, (self.width - width * wide) // 2
        return kernels.scaled_boxes(boxes, (wide, tall), (beside, below))


class CenterCrop(Framed):
    """Cut the middle out of images: (B, H, W, C) -> (B, height, width, C); smaller ones are cropped to the ratio and resized.

    Example:
        >>> from anabranch import Input
        >>> CenterCrop(24, 24)(Input((32, 48, 3))).shape
        (None, 24, 24, 3)
    """

    _field_order_ = ("height", "width", "data_format")

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the shape before."""
        return {"input_shape": runtime.sizes(images, 4)}

    def change(self, images: Tensor, transformation: Transformation, interpolation: str = "bilinear") -> Tensor:
        """Crop, or resize."""
        size = self.height, self.width
        height, width = self.sizes_before(transformation or {"input_shape": runtime.sizes(images, 4)})
        if height >= self.height and width >= self.width:
            return kernels.cropped(images, size, (height - self.height) // 2, (width - self.width) // 2)
        return ops.image.resize(images, size, interpolation, crop_to_aspect_ratio=True, data_format="channels_last")

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Crop, or resize, each pixel that of the nearest."""
        return self.change(masks, transformation, "nearest")

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return boxes in the middle."""
        if height >= self.height and width >= self.width:
            return kernels.scaled_boxes(boxes, (1, 1), (-((width - self.width) // 2), -((height - self.height) // 2)))
        rows = max(min(height, width * self.height // self.width), 1)
        columns = max(min(width, height * self.width // self.height), 1)
        by = self.width / columns, self.height / rows
        return kernels.scaled_boxes(boxes, by, (-((width - columns) // 2) * by[0], -((height - rows) // 2) * by[1]))


class RandomCrop(Drawing, Framed):
    """Cut a window out of each image: at a random position while training, in the middle otherwise.

    Shapes: (B, H, W, C) -> (B, height, width, C).

    Example:
        >>> from anabranch import Input
        >>> RandomCrop(24, 24)(Input((32, 32, 3))).shape
        (None, 24, 24, 3)
    """

    _field_order_ = ("height", "width", "seed", "data_format")
    _others_by_position_ = {"name": fields.NAME_DOC}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) -> (B, height, width, C)."""
        found = super().compute_output_shape(input_shape)
        first = len(input_shape) + self.axis_of_height()
        sizes = input_shape[first : first + 2]
        if any(size is not None and size < part for size, part in zip(sizes, (self.height, self.width), strict=True)):
            raise ShapeError(
                "The crop is larger than the images.",
                expected=f"images of at least {self.height} x {self.width}", got=f"{sizes[0]} x {sizes[1]} in {input_shape}",
                repair="a smaller crop, or ZeroPadding2D before it",
            )  # fmt: skip
        return found

    def still(self, images: Tensor) -> Transformation:
        """Return where the middle begins."""
        height, width = self.sizes_of(images)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return {"top": top, "left": left, "input_shape": runtime.sizes(images, 4)}

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return where each window begins."""
        axis = 1 if self.data_format == "channels_last" else 2
        tops = kernels.start_drawn(images, axis, self.height, generator)
        lefts = kernels.start_drawn(images, axis + 1, self.width, generator)
        return {"tops": tops, "lefts": lefts, "input_shape": runtime.sizes(images, 4)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Crop."""
        size = self.height, self.width
        found = _starts(transformation)
        if "tops" in found:
            return kernels.cropped_at(images, size, found["tops"], found["lefts"])
        return kernels.cropped(images, size, found["top"], found["left"])

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return height and width before, where they are known."""
        return super().sizes_before(transformation) if "input_shape" in transformation else (None, None)

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return boxes in the windows."""
        found = _starts(transformation)
        if "tops" in found:
            return kernels.boxes_from(boxes, found["lefts"], found["tops"])
        return kernels.scaled_boxes(boxes, (1, 1), (-found["left"], -found["top"]))


def _starts(transformation: Transformation) -> dict[str, Any]:
    """Return where windows begin; a pair is the top and the left of all, as Keras's layer draws them."""
    return transformation if isinstance(transformation, dict) else {"top": transformation[0], "left": transformation[1]}
