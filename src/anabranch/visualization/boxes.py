"""Bounding boxes drawn on images, by OpenCV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anabranch._arguments import guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentError, DataError, EngineError, MissingExtraError, ShapeError
from anabranch.ops.boxes import convert_format
from anabranch.ops.core import convert_to_numpy
from anabranch.visualization._pixels import as_given, channels_last, in_bytes

if TYPE_CHECKING:
    from anabranch.ops._types import TensorLike
    from anabranch.visualization._pixels import Array

ABSENT = -1  # the label of a row that pads a shorter list of boxes
_FAR = 2**20  # pixels; what is drawn beyond them is in no image


@guarded
def draw_bounding_boxes(
    images: TensorLike,
    bounding_boxes: Mapping[str, TensorLike],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[float] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> Array:
    """Return images with bounding boxes drawn on them, as an array of bytes.

    Args:
        images: a batch (B, H, W, C) of 1, 3 or 4 channels, in values up to 255, floats also up to 1.
        bounding_boxes: "boxes" (B, N, 4), "labels" (B, N), -1 where there is no box, and, if known, "confidences" (B, N).
        bounding_box_format: the format of the boxes, such as ``"xyxy"`` or ``"rel_xywh"``; see ``utils.bounding_boxes``.
        class_mapping: the names of labels, written beside their boxes.
        color: red, green and blue, up to 255.
        line_thickness: of the lines, in pixels; -1 fills the boxes.
        text_thickness: of the letters; that of the lines unless given.
        font_scale: the size of the letters, in those of OpenCV's font.
        data_format: ``"channels_last"`` or ``"channels_first"``, (B, C, H, W); that of ``config`` unless given.

    Raises:
        MissingExtraError: OpenCV is not installed: ``pip install anabranch[boxes]``.

    Example:
        >>> import numpy as np
        >>> boxes = {"boxes": [[[1, 1, 4, 3]]], "labels": [[0]]}
        >>> draw_bounding_boxes(np.zeros((1, 5, 6, 3)), boxes, "xyxy", color=(9, 0, 0), line_thickness=1)[0, :, :, 0]
        array([[0, 0, 0, 0, 0, 0],
               [0, 9, 9, 9, 9, 0],
               [0, 9, 0, 0, 9, 0],
               [0, 9, 9, 9, 9, 0],
               [0, 0, 0, 0, 0, 0]], dtype=uint8)
    """
    pen = _Pen(color, line_thickness, text_thickness or line_thickness, font_scale)
    found = in_bytes(channels_last(images, data_format)).astype("uint8", order="C")
    batch, height, width, channels = found.shape
    if channels not in (1, 3, 4):
        raise ShapeError("Expected images of 1, 3 or 4 channels.", got=f"{channels} channels; shape {found.shape}")
    missing = [key for key in ("boxes", "labels") if key not in bounding_boxes]
    if missing:
        raise DataError(f"bounding_boxes lack {missing[0]!r}.", expected="'boxes' and 'labels'", got=shown([*bounding_boxes]))
    converted = convert_format({"boxes": bounding_boxes["boxes"]}, bounding_box_format, "xyxy", height, width)
    corners = convert_to_numpy(converted["boxes"])  # type: ignore[call-overload,index]  # a dict of a dict
    labels = _of_boxes("labels", bounding_boxes["labels"], corners, batch)
    known = bounding_boxes.get("confidences")
    confidences = None if known is None else _of_boxes("confidences", known, corners, batch)
    names = class_mapping or {}
    present = labels.astype("int32") != ABSENT
    if not (abs(corners[present]) < float("inf")).all():
        raise DataError("A box has coordinates that are no numbers.", repair=f"label {ABSENT} for rows that are no box")
    for image, number in zip(*present.nonzero(), strict=True):
        x1, y1, x2, y2 = (int(each) for each in corners[image, number].clip(-_FAR, _FAR))
        pen.box(found[image], (x1, y1), (x2, y2))
        label = int(labels[image, number])
        if label in names:
            ending = "" if confidences is None else f" | {confidences[image, number]:.2f}"
            pen.write(found[image], f"{names[label]}{ending}", x1, y1)
    return as_given(found, data_format)


def _of_boxes(name: str, values: TensorLike, boxes: Array, batch: int) -> Array:
    """Return what is known of each box."""
    found = convert_to_numpy(values)
    if boxes.ndim != 3 or len(boxes) != batch or found.shape != boxes.shape[:2]:
        raise ShapeError(
            f"Boxes and their {name} must belong to {batch} images.",
            expected=f"boxes ({batch}, N, 4) and {name} ({batch}, N)",
            got=f"boxes {boxes.shape} and {name} {found.shape}",
        )
    return found


class _Pen:
    """What boxes are drawn with."""

    def __init__(self, color: Sequence[float], line_thickness: int, text_thickness: int, font_scale: float) -> None:
        for name, value in (("line_thickness", line_thickness), ("text_thickness", text_thickness)):
            if not (1 <= value <= 255 or value == -1):
                raise ArgumentError(f"{name} must be from 1 to 255, or -1.", got=shown(value))
        if not 0 < font_scale <= 1000:
            raise ArgumentError("font_scale must be above 0, up to 1000.", got=shown(font_scale))
        if len(color) != 3:
            raise ArgumentError("color must be three numbers: red, green, blue.", got=shown(color))
        self.color = tuple(float(each) for each in color)
        self.line, self.text, self.scale = line_thickness, max(text_thickness, 1), float(font_scale)
        self.opencv = _opencv()

    def box(self, image: Array, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw a rectangle."""
        self._drawn(self.opencv.rectangle, image, start, end, self.color, self.line)

    def write(self, image: Array, text: str, x: int, y: int) -> None:
        """Write a text above the corner (x, y) of a box; within the box where there is no room above."""
        letters = int(self.scale * 12)
        above = y - 8
        place = (x, above) if above > 2 * letters else (x + 3, y + 2 * letters + self.text + 3)
        font = self.opencv.FONT_HERSHEY_SIMPLEX
        self._drawn(self.opencv.putText, image, text, place, font, self.scale, self.color, self.text)

    def _drawn(self, draw: Any, *arguments: object) -> None:
        try:
            draw(*arguments)
        except self.opencv.error as error:
            raise EngineError.of(error, "OpenCV could not draw a box.", got=str(error)[:200]) from error


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "Boxes are drawn by OpenCV, which is not installed.", repair="pip install anabranch[boxes]"
        ) from error
    return cv2
