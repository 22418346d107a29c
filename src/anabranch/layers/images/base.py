"""What layers of images have in common: single images and batches, both data formats, what comes with images, the draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from anabranch import _tree, runtime
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, unknown
from anabranch.graph import Shape, Spec
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.images.settings import FORMATS
from anabranch.layers.regularization import Drawing
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor

Boxes: TypeAlias = "dict[str, Tensor]"
Transformation: TypeAlias = Any
"""What was drawn, as each layer needs it: a dict of tensors, or None."""
_TAKEN = ("images", "labels", "bounding_boxes", "segmentation_masks")


def _format(value: object, owner: object) -> str | None:
    if value is None or value in FORMATS:
        return value  # type: ignore[return-value]  # one of them
    raise unknown("bounding_box_format", str(value), FORMATS, of=type(owner).__name__)


class ImageLayer(fields.FieldLayer):
    """A layer that acts on images and what comes with them. Abstract.

    It takes images (B, H, W, C), or (B, C, H, W) with channels first; one image without a batch; or a dict of "images" and,
    each where present, "labels", "bounding_boxes" ({"boxes": (B, N, 4), "labels": (B, N)}) and "segmentation_masks".
    Subclasses write ``change``, which gets (B, H, W, C) whatever the data format, and ``draw`` where something is drawn.
    """

    supports_masking = False
    _takes_one_tensor_ = True
    built = True  # there is nothing to make
    in_training_only: ClassVar[bool] = False  # whether images pass unchanged otherwise

    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)
    bounding_box_format: str | None = fields.state(init=False)

    def _take_others_(self, others: dict[str, Any]) -> None:
        """Take the format of bounding boxes, which Keras's layers have among their other arguments."""
        self.bounding_box_format = _format(others.pop("bounding_box_format", None), self)
        super()._take_others_(others)

    def get_config(self) -> dict[str, Any]:
        """Return the settings; the format of boxes where there is one, as Keras's layers do.

        Example:
            >>> from anabranch import layers
            >>> layers.CenterCrop(8, 8).get_config()["height"]
            8
        """
        config = super().get_config()
        return config if self.bounding_box_format is None else config | {"bounding_box_format": self.bounding_box_format}

    # Shapes

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of images afterwards."""
        check_images(input_shape)
        return input_shape

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return the dtype of images afterwards: floats."""
        return self.compute_dtype

    def compute_output_spec(self, inputs: _tree.Nest, training: bool = True) -> _tree.Nest:
        """Return the spec of images, or of all that a dict holds."""
        if not isinstance(inputs, dict):
            return super().compute_output_spec(inputs)
        return {key: self._spec_of(key, value) for key, value in self._checked(inputs).items()}

    def _spec_of(self, key: str, value: Any) -> _tree.Nest:
        if key == "images":
            return Spec(self.compute_output_shape(tuple(value.shape)), self._output_dtype_([value.dtype]))
        if key == "segmentation_masks":
            return Spec(self.compute_output_shape(tuple(value.shape)), value.dtype)
        if key == "bounding_boxes":
            return {name: Spec(tuple(each.shape), each.dtype) for name, each in value.items()}
        return _tree.map_leaves(lambda each: Spec(tuple(each.shape), each.dtype), value)

    def axis_of_height(self) -> int:
        """Return the axis of the height, counted from the last."""
        return -3 if self.data_format == "channels_last" else -2

    # Draws

    def get_random_transformation(self, data: Any, training: bool = True, seed: object = None) -> Transformation:
        """Return what is drawn for images, which the methods ``transform_…`` take; None where nothing is.

        Args:
            data: images, or a dict of "images" and more.
            training: whether it is for training.
            seed: an integer or a SeedGenerator to draw from; None: the layer's own stream.

        Example:
            >>> import numpy as np
            >>> from anabranch import layers
            >>> layer = layers.RandomTranslation((0.5, 0.5), (0.25, 0.25))
            >>> layer.get_random_transformation(np.zeros((1, 4, 4, 1)))["translations"].tolist()
            [[1.0, 2.0]]
        """
        if self.in_training_only and not training:
            return None
        images = runtime.as_tensors(data["images"] if isinstance(data, dict) else data)
        images = images[None] if is_alone(images) else images
        if not training:
            return self.still(images)
        return self.draw(images, self.generator() if seed is None else runtime.drawn_from(seed, images).get("generator"))

    def generator(self) -> Generator | None:
        """Return the generator to draw from, None for the process's."""
        return None

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return what is drawn for a batch of images."""
        return None

    def still(self, images: Tensor) -> Transformation:
        """Return what is used in the place of a draw outside training."""
        return self.draw(images, None)

    # What is changed

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Return (B, H, W, C) changed."""
        raise NotImplementedError(f"{type(self).__name__} must write change(images, transformation)")

    def unchanged(self, images: Tensor) -> Tensor:
        """Return what images become where they are not changed: themselves, as floats."""
        return images

    def with_channels_last(self, images: Tensor, change: Any, transformation: Transformation) -> Tensor:
        """Return images changed by a function of (B, H, W, C), whatever the data format, with a batch or without."""
        if is_alone(images):
            return self.with_channels_last(images[None], change, transformation)[0]
        if self.data_format == "channels_last":
            return change(images, transformation)
        found = change(kernels.channels_back(images, 2, "channels_last"), transformation)
        return kernels.channels_front(found, 2, "channels_last")

    def transform_images(self, images: Any, transformation: Transformation = None, training: bool = True) -> Tensor:
        """Return images as a transformation changes them.

        Args:
            images: images (B, H, W, C), or one.
            transformation: what ``get_random_transformation`` returned.
            training: whether it is for training.

        Example:
            >>> import numpy as np
            >>> from anabranch import layers
            >>> images = np.arange(3.0).reshape(1, 1, 3, 1)
            >>> layers.RandomFlip("horizontal").transform_images(images, {"flips": np.array([True])}).flatten()
            tensor([2., 1., 0.])
        """
        images = runtime.as_tensors(images)
        images = runtime.shaped(kernels.cast(images, self.compute_dtype), runtime.shape_of(images))
        if self.in_training_only and not training:
            return self.unchanged(images)
        return self.with_channels_last(images, self.change, runtime.as_tensors(transformation))

    def transform_labels(self, labels: Any, transformation: Transformation = None, training: bool = True) -> Any:
        """Return the labels of images, which stay unless images are mixed.

        Args:
            labels: labels (B, …).
            transformation: what ``get_random_transformation`` returned.
            training: whether it is for training.

        Example:
            >>> from anabranch import layers
            >>> layers.RandomFlip().transform_labels([1, 0])
            [1, 0]
        """
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Boxes:
        """Return bounding boxes where a transformation moves them; colors move nothing.

        Args:
            bounding_boxes: "boxes" (B, N, 4) in ``bounding_box_format``, and their "labels" (B, N).
            transformation: what ``get_random_transformation`` returned.
            training: whether it is for training.

        Example:
            >>> import numpy as np
            >>> from anabranch import layers
            >>> layer = layers.RandomFlip("horizontal", bounding_box_format="xyxy")
            >>> boxes = {"boxes": np.array([[[0.0, 0, 2, 4]]]), "labels": np.array([[1]])}
            >>> flips = {"flips": np.array([True]), "input_shape": (1, 4, 8, 3)}
            >>> layer.transform_bounding_boxes(boxes, flips)["boxes"].tolist()
            [[[6.0, 0.0, 8.0, 4.0]]]
        """
        return dict(bounding_boxes)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Return segmentation masks as a transformation moves them; colors move nothing, and classes are never mixed.

        Args:
            segmentation_masks: masks (B, H, W, C) of class indices.
            transformation: what ``get_random_transformation`` returned.
            training: whether it is for training.

        Example:
            >>> import numpy as np
            >>> from anabranch import layers
            >>> masks = np.arange(3).reshape(1, 1, 3, 1)
            >>> flips = {"flips": np.array([True])}
            >>> layers.RandomFlip("horizontal").transform_segmentation_masks(masks, flips).flatten()
            tensor([2, 1, 0])
        """
        return segmentation_masks  # type: ignore[no-any-return]  # what came

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Change images, and what comes with them."""
        if not isinstance(inputs, dict):
            self.check(inputs)
            transformation = self.get_random_transformation(inputs, training)
            return self.transform_images(inputs, transformation, training)
        data = self._checked(inputs)
        self.check(data["images"])
        alone = is_alone(data["images"])
        if alone:
            data = _tree.map_leaves(lambda leaf: leaf[None], data)
        transformation = self.get_random_transformation(data, training)
        found = {key: self._transformed(key, value, transformation, training) for key, value in data.items()}
        return _tree.map_leaves(lambda leaf: leaf[0], found) if alone else found

    def _transformed(self, key: str, value: Any, transformation: Transformation, training: bool) -> Any:
        change = {
            "images": self.transform_images, "labels": self.transform_labels,
            "bounding_boxes": self.transform_bounding_boxes, "segmentation_masks": self.transform_segmentation_masks,
        }.get(key)  # fmt: skip
        return value if change is None else change(value, transformation, training)

    def check(self, images: Tensor) -> None:
        """Raise where images have a shape that the layer does not take."""
        shape = runtime.shape_of(images)
        if shape is not None:
            self.compute_output_shape(shape)

    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return what came with images, with boxes as tensors; raise where something is missing."""
        if "images" not in data:
            raise ArgumentError(
                f"{type(self).__name__} was called on a dict without images.", expected=f"a dict of {', '.join(_TAKEN)}",
                got=", ".join(map(str, data)) or "an empty dict",
            )  # fmt: skip
        if "bounding_boxes" not in data:
            return data
        boxes = data["bounding_boxes"]
        if not isinstance(boxes, dict) or not {"boxes", "labels"} <= boxes.keys():
            raise ArgumentTypeError(
                "Bounding boxes are a dict of boxes and their labels.", expected='{"boxes": (B, N, 4), "labels": (B, N)}',
                got=shown(boxes),
            )  # fmt: skip
        if self.bounding_box_format is None:
            raise ArgumentError(
                f"{type(self).__name__} was called on bounding boxes whose format it does not know.",
                expected=f"one of {', '.join(FORMATS)}", got="bounding_box_format=None",
                repair=f'{type(self).__name__}(…, bounding_box_format="xyxy")',
            )  # fmt: skip
        return {**data, "bounding_boxes": dense(boxes)}


class Moving(ImageLayer):
    """A layer that moves pixels, so that masks and bounding boxes move with them. Abstract."""

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Return masks (B, H, W, C) changed, without mixing classes."""
        return self.change(masks, transformation)

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return boxes (B, N, 4), as corners in pixels, where the pixels go."""
        raise NotImplementedError(f"{type(self).__name__} must write change_boxes(boxes, transformation, height, width)")

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return height and width of the images that a transformation was drawn for."""
        shape, axis = transformation["input_shape"], self.axis_of_height()
        return shape[axis], shape[axis + 1]

    def sizes_after(self, height: int, width: int) -> tuple[Any, Any]:
        """Return height and width of changed images."""
        return height, width

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Return segmentation masks where the pixels go."""
        masks = runtime.as_tensors(segmentation_masks)
        if self.in_training_only and not training:
            return self.unchanged(masks)
        return self.with_channels_last(masks, self.change_masks, runtime.as_tensors(transformation))

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Boxes:
        """Return bounding boxes where the pixels go, cut at the border; what is left without area has the label -1."""
        found = dict(bounding_boxes)
        if (self.in_training_only and not training) or transformation is None:
            return found
        height, width = self.sizes_before(transformation)
        tall, wide = self.sizes_after(height, width)
        boxes, known = runtime.as_tensors(found["boxes"]), self.bounding_box_format or "xyxy"
        corners = kernels.converted(boxes, known, "xyxy", height, width)
        corners = self.change_boxes(corners, runtime.as_tensors(transformation), height, width)
        corners = kernels.clipped(corners, tall, wide)
        found["labels"] = kernels.labels_of_any(corners, runtime.as_tensors(found["labels"]))
        found["boxes"] = kernels.converted(corners, "xyxy", known, tall, wide)
        return found


class RandomImages(Drawing, ImageLayer):
    """A random change of each image while training; otherwise images pass, as floats. Abstract."""

    in_training_only = True


def check_images(shape: Shape) -> None:
    """Raise where a shape is none of images, in a batch or one by itself."""
    if len(shape) != 3 or shape[0] is None:  # unless it is one image without a batch
        check_rank(shape, 4, "batch, height, width, channels")


def check_colors(shape: Shape, layout: str, *counts: int) -> None:
    """Raise where images have other numbers of channels than ``counts``, three by default."""
    channels, wanted = shape[-1 if layout == "channels_last" else -3], counts or (3,)
    if channels is not None and channels not in wanted:
        raise ShapeError(
            "Colors have three channels.", expected=f"{' or '.join(map(str, wanted))} channels ({layout})", got=str(shape)
        )


def is_alone(images: Tensor) -> bool:
    """Return whether it is one image without a batch."""
    shape = runtime.shape_of(images)
    return shape is not None and len(shape) == 3


def dense(boxes: Mapping[str, Any]) -> Boxes:
    """Return boxes and labels as tensors; lists of unequal lengths are filled with boxes of zeros, labelled -1."""
    found = dict(boxes)
    if isinstance(boxes["boxes"], list) and isinstance(boxes["labels"], list):
        longest = max((len(each) for each in boxes["labels"] if isinstance(each, list)), default=0)
        found["boxes"] = (
            [[*each, *[[0.0] * 4] * (longest - len(each))] for each in boxes["boxes"]] if longest else boxes["boxes"]
        )
        found["labels"] = [[*each, *[-1] * (longest - len(each))] for each in boxes["labels"]] if longest else boxes["labels"]
    return {name: runtime.as_tensor(value) if isinstance(value, list) else value for name, value in found.items()}
