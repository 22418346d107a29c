"""``utils.bounding_boxes`` beside Keras's, on arrays, on symbolic tensors and in a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import allclose

from anabranch import Input, Model
from anabranch._errors import AnabranchError
from anabranch.utils import bounding_boxes as ours

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
RNG = np.random.default_rng(0)


def drawn(*shape: int) -> Any:
    """Return boxes as corners, in an image of 40 rows and 30 columns."""
    corners = RNG.uniform(0, 15, (*shape, 2)), RNG.uniform(16, 30, (*shape, 2))
    return np.concatenate(corners, -1).astype("float32")


def same(found: Any, wanted: Any) -> bool:
    return tuple(found.shape) == tuple(wanted.shape) and allclose(found, wanted.cpu(), atol=1e-4)


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_formats(keras: Any, source: str, target: str) -> None:
    given = keras.utils.bounding_boxes.convert_format(drawn(2, 3), "xyxy", source, 40, 30).cpu().numpy()
    wanted = keras.utils.bounding_boxes.convert_format(given, source, target, 40, 30)
    assert same(ours.convert_format(given, source, target, 40, 30), wanted)
    found = ours.convert_format({"boxes": given, "labels": [1]}, source, target, np.full((2, 1, 1), 40), np.full((2, 1, 1), 30))
    assert same(found["boxes"], wanted)
    assert found["labels"] == [1]


@pytest.mark.parametrize("ranks", [((3,), (4,)), ((2, 3), (2, 4)), ((2, 3), (4,)), ((3,), (2, 4))])
def test_overlap(keras: Any, ranks: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    first, second = (drawn(*rank) for rank in ranks)
    theirs = keras.utils.bounding_boxes
    for kind in FORMATS:
        a, b = (theirs.convert_format(each, "xyxy", kind, 40, 30).cpu().numpy() for each in (first, second))
        wanted = theirs.compute_iou(a, b, kind, image_shape=(40, 30, 3))
        assert same(ours.compute_iou(a, b, kind, image_shape=(40, 30, 3)), wanted)
    first[..., 1, :] = -1
    masked = ours.compute_iou(first, second, "xyxy", use_masking=True, mask_val=-2)
    assert (masked[..., 1, :] == -2).all()
    assert (masked[..., 0, :] >= 0).all()
    if len(ranks[0]) == len(ranks[1]):  # others Keras refuses
        assert same(masked, theirs.compute_iou(first, second, "xyxy", use_masking=True, mask_val=-2))


def test_complete_iou(keras: Any) -> None:
    first, second = drawn(2, 5), drawn(2, 5)
    wanted = keras.utils.bounding_boxes.compute_ciou(first, second, "xyxy")
    assert same(ours.compute_ciou(first, second, "xyxy"), wanted)
    parts = [ours.convert_format(each, "xyxy", "rel_xyxy", 40, 30) for each in (first, second)]
    assert same(ours.compute_ciou(*parts, "rel_xyxy", (40, 30, 3)), wanted)  # which Keras refuses


@pytest.mark.parametrize("kind", ["xyxy", "center_xywh", "rel_yxyx"])
@pytest.mark.parametrize("order", ["center_yxhw", "center_xywh"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_deltas(keras: Any, kind: str, order: str, variance: Any) -> None:
    theirs = keras.utils.bounding_boxes
    anchors, boxes = (theirs.convert_format(drawn(*s), "xyxy", kind, 40, 30).cpu().numpy() for s in ((3,), (2, 3)))
    more = {"variance": variance, "image_shape": (40, 30, 3)}
    deltas = ours.encode_box_to_deltas(anchors, boxes, kind, kind, order, **more)
    assert same(deltas, theirs.encode_box_to_deltas(anchors, boxes, kind, kind, order, **more))
    back = ours.decode_deltas_to_boxes(anchors, deltas, kind, "xyxy", order, **more)
    assert same(back, theirs.decode_deltas_to_boxes(anchors, deltas.cpu(), kind, "xyxy", order, **more))
    levels = ours.decode_deltas_to_boxes({"a": anchors}, {"a": deltas}, kind, "xyxy", order, **more)
    assert same(levels["a"], back)


def test_changes_of_images(keras: Any) -> None:
    theirs, boxes = keras.utils.bounding_boxes, drawn(2, 3)
    assert same(ours.crop(boxes, 5, 8, 20, 10), theirs.crop(boxes, 5, 8, 20, 10))
    assert same(ours.pad(boxes, 5, 8), theirs.pad(boxes, 5, 8))
    moves = [RNG.uniform(0.1, 0.9, 2).astype("float32") * factor for factor in (90, 1, 1, 2, 30, 30)]
    for center in ((None, None), (0.25, 0.75)):
        wanted = theirs.affine_transform(
            boxes, *map(keras.ops.convert_to_tensor, moves), 40, 30, center_x=center[0], center_y=center[1]
        )
        assert same(ours.affine_transform(boxes, *moves, 40, 30, *center), wanted)
    for kind, given in (("xyxy", boxes * 2 - 20), ("rel_xyxy", boxes / 20 - 0.5)):
        data = {"boxes": given, "labels": np.arange(6).reshape(2, 3)}
        wanted = theirs.clip_to_image_size({**data, "boxes": keras.ops.convert_to_tensor(given)}, 40, 30, kind)
        found = ours.clip_to_image_size(data, 40, 30, kind)
        assert same(found["boxes"], wanted["boxes"])
        assert same(found["labels"], wanted["labels"])
        assert data["boxes"] is given


def test_symbolic_tensors() -> None:
    first, second = Input((3, 4)), Input((5, 4))
    overlap = ours.compute_iou(first, second, "xyxy")
    deltas = ours.encode_box_to_deltas(first, second[:, :3], "xyxy", "xyxy")
    assert (overlap.shape, deltas.shape) == ((None, 3, 5), (None, 3, 4))
    given = drawn(2, 3), drawn(2, 5)
    found = Model([first, second], [overlap, deltas]).predict(given, verbose=0)
    assert np.allclose(found[0], ours.compute_iou(*given, "xyxy").cpu(), atol=1e-6)
    assert np.allclose(found[1], ours.encode_box_to_deltas(given[0], given[1][:, :3], "xyxy", "xyxy").cpu(), atol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ours.convert_format(drawn(3), "xyxy", "xyzz"),
        lambda: ours.convert_format(drawn(3), "xyxy", "rel_xyxy"),
        lambda: ours.convert_format(np.ones((3, 5)), "xyxy", "xywh"),
        lambda: ours.clip_to_image_size({"boxes": drawn(3)}),
        lambda: ours.crop(drawn(3), 1, 1, 2, 2, "xywh"),
        lambda: ours.compute_iou(drawn(1, 2, 3), drawn(3), "xyxy"),
        lambda: ours.encode_box_to_deltas(drawn(3), drawn(3), "xyxy", "xyxy", "xyxy"),
        lambda: ours.encode_box_to_deltas(drawn(3), drawn(3), "xyxy", "xyxy", variance=[1.0, 2.0]),
        lambda: ours.decode_deltas_to_boxes({"a": drawn(3)}, drawn(3), "xyxy", "xyxy"),
        lambda: ours.compute_iou(drawn(3), drawn(3), "xyxy", image_shape=(3,)),
    ],
)
def test_what_cannot_be_is_refused(call: Any) -> None:
    with pytest.raises(AnabranchError):
        call()
