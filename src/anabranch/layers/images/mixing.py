"""Layers that mix the images of a batch, and their labels alike: a part of another pasted, or two blended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anabranch import _tree, runtime
from anabranch._errors import ArgumentError
from anabranch.graph import Spec
from anabranch.layers import fields
from anabranch.layers.images import settings
from anabranch.layers.images.base import Boxes, Moving, RandomImages, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor


class Mixing(RandomImages, Moving):
    """A change of images by others of their batch, while training. Abstract."""

    def _spec_of(self, key: str, value: Any) -> _tree.Nest:
        return Spec(tuple(value.shape), self.compute_dtype) if key == "labels" else super()._spec_of(key, value)

    def transform_labels(self, labels: Any, transformation: Transformation = None, training: bool = True) -> Any:
        """Return labels mixed by the same weights as images: one-hot (B, classes), or numbers."""
        found = runtime.as_tensors(labels)
        shape = runtime.shape_of(found)
        if shape is not None and len(shape) < 2 and "int" in str(found.dtype):
            raise ArgumentError(
                f"{type(self).__name__} mixes labels, which class indices cannot be.", expected="one-hot labels (B, classes)",
                got=f"{found.dtype} {shape}", repair="ops.one_hot(labels, num_classes)",
            )  # fmt: skip
        if not training or transformation is None:
            return kernels.cast(found, self.compute_dtype)
        known = runtime.as_tensors(transformation)
        return kernels.mixed(kernels.cast(found, self.compute_dtype), known["mix_weight"], known["permutation_order"])


class CutMix(Mixing):
    """Paste a rectangle of another image of the batch into each, and mix labels by the areas, while training (Yun et al. 2019).

    Shapes: (B, H, W, C) -> (B, H, W, C); labels are one-hot (B, classes).

    Example:
        >>> import numpy as np
        >>> data = {"images": np.zeros((2, 8, 8, 3)), "labels": np.eye(2)}
        >>> CutMix()(data, training=True)["labels"].sum(-1).tolist()
        [1.0, 1.0]
    """

    factor: settings.RangeFactorField = fields.field(
        default=1.0, convert=settings.within(0, 1), plain=fields.listed,
        doc="where both parameters of the Beta distribution of areas come from: (low, high), or a number for (0, number).",
    )  # fmt: skip
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which image each is mixed with, in which rectangle, and how much of its own is left."""
        shape, axis = runtime.sizes(images, 4), self.axis_of_height()
        height, width = shape[axis], shape[axis + 1]
        alpha = kernels.drawn(images, (), *self.factor, generator) + 1e-6
        ratio = (1 - kernels.beta(alpha, generator)).clamp(min=0).sqrt()
        spans = []
        for length in (width, height):
            start = kernels.drawn(images, (), 0.0, 1.0, generator) * (length - ratio * length)
            spans.append((start, start + ratio * length))
        (left, right), (top, bottom) = spans
        where = kernels.rectangles((left, top), (right, bottom), height, width)
        return {
            "permutation_order": kernels.shuffled(images, generator),
            "batch_masks": where[..., None] if self.data_format == "channels_last" else where[:, None],
            "mix_weight": 1 - (right - left) * (bottom - top) / (width * height),
        }

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Paste."""
        where = transformation["batch_masks"]
        if self.data_format != "channels_last":
            where = kernels.permute(where, (0, 2, 3, 1))
        return kernels.pasted(images, where, transformation["permutation_order"])

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Paste masks, whose channels are fewer."""
        return self.change(masks, {**transformation, "batch_masks": self._one_channel(transformation["batch_masks"])})

    def _one_channel(self, where: Tensor) -> Tensor:
        return where[..., :1] if self.data_format == "channels_last" else where[:, :1]

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Boxes:
        """Refuse, while training: what is pasted over is partly hidden."""
        if not training:
            return dict(bounding_boxes)
        raise ArgumentError("CutMix mixes no bounding boxes.", repair="MixUp, which has the boxes of both images")


class MixUp(Mixing):
    """Blend each image, and its labels, with another of the batch, while training (Zhang et al. 2018, §2): λ x + (1 - λ) x'.

    Shapes: (B, H, W, C) -> (B, H, W, C); labels are one-hot (B, classes); λ comes from Beta(alpha, alpha).

    Example:
        >>> import numpy as np
        >>> data = {"images": np.zeros((2, 8, 8, 3)), "labels": np.eye(2)}
        >>> MixUp()(data, training=True)["labels"].sum(-1).tolist()
        [1.0, 1.0]
    """

    alpha: fields.NumberField = fields.number(default=0.2, above=0, doc="both parameters of the Beta distribution of λ.")
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    def _spec_of(self, key: str, value: Any) -> _tree.Nest:
        if key == "segmentation_masks":
            return Spec(tuple(value.shape), self.compute_dtype)
        if key == "bounding_boxes":
            double = {name: _doubled(tuple(each.shape)) for name, each in value.items()}
            return {name: Spec(double[name], each.dtype) for name, each in value.items()}
        return super()._spec_of(key, value)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which image each is blended with, and how much of its own is left."""
        alpha = kernels.drawn(images, (), 0.0, 1.0, generator) * 0 + self.alpha
        return {"mix_weight": kernels.beta(alpha, generator), "permutation_order": kernels.shuffled(images, generator)}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Blend."""
        return kernels.mixed(images, transformation["mix_weight"], transformation["permutation_order"])

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Return masks, one-hot, blended as images are."""
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Boxes:
        """Return the boxes of both images."""
        if not training:
            return dict(bounding_boxes)
        order = runtime.as_tensors(transformation)["permutation_order"]
        return {name: kernels.with_others(runtime.as_tensors(each), order) for name, each in bounding_boxes.items()}


def _doubled(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    count = shape[1]
    return (shape[0], None if count is None else 2 * count, *shape[2:])
