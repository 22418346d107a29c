"""Boxes and masks drawn on images, pixel by pixel beside Keras's."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from devices import on_device

from anabranch._errors import ArgumentError, DataError, DtypeError, MissingExtraError, ShapeError
from anabranch.visualization import draw_bounding_boxes, draw_segmentation_masks

RNG = np.random.default_rng(7)
FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
NAMES = {0: "cat", 2: "dog"}


@pytest.fixture(scope="module", autouse=True)
def _drawing_keras(keras: Any) -> None:
    """Give real Keras OpenCV, whichever was imported first."""
    sys.modules["keras.src.visualization.draw_bounding_boxes"].cv2 = cv2


def images(kind: str, channels: int = 3) -> Any:
    """Return two images of bytes, of floats up to 255, or of fractions."""
    drawn = RNG.uniform(0, 255, (2, 60, 80, channels))
    return {"bytes": drawn.astype("uint8"), "floats": drawn.astype("float32"), "fractions": (drawn / 255).astype("float32")}[
        kind
    ]


def boxes(count: int = 3) -> dict[str, Any]:
    """Return boxes as corners, one at the top, one partly outside, one that is absent."""
    start, size = RNG.uniform(0, 30, (2, count, 2)), RNG.uniform(5, 45, (2, count, 2))
    found = np.concatenate([start, start + size], -1).astype("float32")
    found[0, 1] = (-20, -3, 40, 200)
    return {"boxes": found, "labels": np.array([[0, 1, 2], [2, -1, 0]]), "confidences": RNG.uniform(0, 1, (2, count))}


@pytest.mark.parametrize("kind", ["bytes", "floats", "fractions"])
@pytest.mark.parametrize("name", FORMATS)
def test_boxes(keras: Any, kind: str, name: str) -> None:
    given, pictures = boxes(), images(kind)
    given["boxes"] = keras.utils.bounding_boxes.convert_format(given["boxes"], "xyxy", name, 60, 80).cpu().numpy()
    before = pictures.copy()
    found = draw_bounding_boxes(pictures, given, name)
    assert found.dtype == np.uint8
    assert np.array_equal(found, keras.visualization.draw_bounding_boxes(pictures, given, name))
    assert np.array_equal(pictures, before), "what is given stays as it was"


@pytest.mark.parametrize(
    "options",
    [
        {"class_mapping": NAMES},
        {"class_mapping": NAMES, "color": (255, 0, 9), "line_thickness": 5, "text_thickness": None},
        {"class_mapping": NAMES, "font_scale": 0.4, "text_thickness": 2},
        {"line_thickness": -1},
    ],
)
@pytest.mark.parametrize("confident", [True, False])
def test_texts_and_lines(keras: Any, options: dict[str, Any], confident: bool) -> None:
    given, pictures = boxes(), images("bytes")
    if not confident:
        del given["confidences"]
    found = draw_bounding_boxes(pictures, given, "xyxy", **options)
    assert np.array_equal(found, keras.visualization.draw_bounding_boxes(pictures, given, "xyxy", **options))
    assert not np.array_equal(found, draw_bounding_boxes(pictures, given, "xyxy"))


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(keras: Any, channels: int) -> None:
    given, pictures = boxes(), images("bytes", channels)
    wanted = keras.visualization.draw_bounding_boxes(pictures, given, "xyxy")
    assert np.array_equal(draw_bounding_boxes(pictures, given, "xyxy"), wanted)


def test_channels_first_is_drawn_where_the_boxes_are() -> None:
    given, pictures = boxes(), images("bytes")
    wanted = draw_bounding_boxes(pictures, given, "xyxy")
    found = draw_bounding_boxes(pictures.transpose(0, 3, 1, 2), given, "xyxy", data_format="channels_first")
    assert np.array_equal(found, wanted.transpose(0, 3, 1, 2))
    masks = RNG.integers(0, 4, (2, 60, 80, 1))
    colored = draw_segmentation_masks(pictures, masks)
    for each in (masks.transpose(0, 3, 1, 2), masks[..., 0]):
        found = draw_segmentation_masks(pictures.transpose(0, 3, 1, 2), each, data_format="channels_first")
        assert np.array_equal(found, colored.transpose(0, 3, 1, 2))


def test_tensors_are_taken() -> None:
    given, pictures = boxes(), images("bytes")
    tensors = {name: on_device(torch.as_tensor(value)) for name, value in given.items()}
    found = draw_bounding_boxes(on_device(torch.as_tensor(pictures)), tensors, "xyxy")
    assert np.array_equal(found, draw_bounding_boxes(pictures, given, "xyxy"))


@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_classes": 4, "alpha": 0.3},
        {"num_classes": 5, "ignore_index": 0},
        {"num_classes": 5, "ignore_index": 2, "alpha": 1.0},
        {"num_classes": 5, "color_mapping": {i: (40 * i, 255 - 50 * i, 3) for i in range(5)}},
    ],
)
def test_masks(keras: Any, kind: str, options: dict[str, Any]) -> None:
    pictures, masks = images(kind), RNG.integers(-1, 4, (2, 60, 80, 1))
    found = draw_segmentation_masks(pictures, masks, **options)
    wanted = keras.visualization.draw_segmentation_masks(pictures, masks, **{"num_classes": 4, **options})
    assert found.dtype == np.uint8
    assert np.array_equal(found, wanted)
    assert np.array_equal(found, draw_segmentation_masks(pictures, masks[..., 0], **options)), "masks (B, H, W)"


def test_the_highest_class_is_drawn() -> None:
    """Keras infers one class too few, and says that classes are from 1 to ``num_classes``."""
    pictures, masks = np.zeros((1, 1, 3, 3)), np.array([[[0, 1, 2]]])
    for count in (None, 2):
        found = draw_segmentation_masks(pictures, masks, count, {1: (10, 0, 0), 2: (0, 20, 0)}, blend=False)
        assert found[0, 0].tolist() == [[0, 0, 0], [10, 0, 0], [0, 20, 0]]
    assert not draw_segmentation_masks(pictures, masks, 1, {2: (0, 20, 0)}, blend=False).any()


def test_without_blending_the_ignored_class_is_not_drawn_either() -> None:
    pictures, masks = np.full((1, 1, 2, 3), 7.0), np.array([[[1, 2]]])
    found = draw_segmentation_masks(pictures, masks, blend=False, ignore_index=2, color_mapping={1: (9, 9, 9), 2: (8, 8, 8)})
    assert found[0, 0].tolist() == [[9, 9, 9], [7, 7, 7]]


def test_fractions_are_fractions_of_255_in_masks_too() -> None:
    found = draw_segmentation_masks(np.ones((1, 1, 1, 3)), np.zeros((1, 1, 1), int), ignore_index=0)
    assert found.tolist() == [[[[255, 255, 255]]]]


def test_what_does_not_fit_is_refused() -> None:
    given, pictures = boxes(), images("bytes")
    with pytest.raises(ShapeError, match="4-D"):
        draw_bounding_boxes(pictures[0], given, "xyxy")
    with pytest.raises(DataError, match="lack 'labels'"):
        draw_bounding_boxes(pictures, {"boxes": given["boxes"]}, "xyxy")
    with pytest.raises(TypeError, match="bounding_boxes of draw_bounding_boxes must be a dict"):
        draw_bounding_boxes(pictures, given["boxes"], "xyxy")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"labels must belong to 2 images"):
        draw_bounding_boxes(pictures, {**given, "labels": given["labels"][:1]}, "xyxy")
    with pytest.raises(ShapeError, match="1, 3 or 4 channels"):
        draw_bounding_boxes(images("bytes", 2), given, "xyxy")
    with pytest.raises(DataError, match="no numbers"):
        draw_bounding_boxes(pictures, {**given, "boxes": given["boxes"] * np.nan}, "xyxy")
    with pytest.raises(ArgumentError, match="color must be three numbers"):
        draw_bounding_boxes(pictures, given, "xyxy", color=(1, 2))
    with pytest.raises(DtypeError, match="must be integers"):
        draw_segmentation_masks(pictures, np.zeros((2, 60, 80)))
    with pytest.raises(ShapeError, match="Each pixel needs a class"):
        draw_segmentation_masks(pictures, np.zeros((2, 60, 8), int))
    with pytest.raises(ArgumentError, match="alpha"):
        draw_segmentation_masks(pictures, np.zeros((2, 60, 80), int), alpha=1.5)


def test_without_opencv_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[boxes\]"):
        draw_bounding_boxes(images("bytes"), boxes(), "xyxy")
