"""Layers that act on bounding boxes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anabranch import _tree, runtime
from anabranch.graph import Shape, Spec
from anabranch.layers import fields
from anabranch.layers.images.base import Boxes, ImageLayer, Transformation
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class MaxNumBoundingBoxes(ImageLayer):
    """Give every image the same number of bounding boxes: the first ones, filled up with boxes of ``fill_value``.

    Example:
        >>> import numpy as np
        >>> boxes = {"boxes": np.ones((2, 3, 4)), "labels": np.zeros((2, 3))}
        >>> layer = MaxNumBoundingBoxes(5, bounding_box_format="xyxy")
        >>> layer({"images": np.zeros((2, 8, 8, 3)), "bounding_boxes": boxes})["bounding_boxes"]["boxes"].shape
        torch.Size([2, 5, 4])
    """

    max_number: fields.Field[int, int] = fields.integer(doc="how many boxes each image has afterwards.")
    fill_value: fields.NumberField = fields.number(default=-1, doc="the coordinates, and the label, of boxes that are added.")

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return what the layer computes in for floats; integers stay."""
        return self.compute_dtype if "float" in input_dtypes[0] and self.autocast else input_dtypes[0]

    def _spec_of(self, key: str, value: Any) -> _tree.Nest:
        if key != "bounding_boxes":
            return super()._spec_of(key, value)
        return {name: Spec(self._shape(tuple(each.shape)), each.dtype) for name, each in value.items()}

    def _shape(self, shape: Shape) -> Shape:
        return (shape[0], self.max_number, *shape[2:])

    def transform_images(self, images: Any, transformation: Transformation = None, training: bool = True) -> Tensor:
        """Return images as they are."""
        return images  # type: ignore[no-any-return]  # what came

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Boxes:
        """Return as many boxes as there are to be."""
        return {
            name: kernels.boxes_to(runtime.as_tensors(each), self.max_number, self.fill_value)
            for name, each in bounding_boxes.items()
        }
