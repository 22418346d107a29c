"""Bounding boxes (…, 4): formats, overlap, changes that follow those of images, and distances from anchors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from anabranch import config
from anabranch._arguments import Finite, Positive
from anabranch._errors import ArgumentError, ShapeError
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import check_rank, floats, one_of, shape, tensor, torch_dtype

Boxes: TypeAlias = "Mapping[str, TensorLike]"

ARGUMENTS = {
    "boxes": "boxes (N, 4) or (B, N, 4).",
    "boxes1": "boxes (N, 4) or (B, N, 4).",
    "boxes2": "boxes (M, 4) or (B, M, 4).",
    "anchors": "boxes (N, 4), which deltas are counted from.",
    "height": "the height of the images, a number or a tensor (…, 1); None where no format is of fractions.",
    "width": "the width of the images, as ``height``.",
    "bounding_box_format": "the boxes' format; see ``convert_format``.",
    "anchor_format": "the anchors' format; see ``convert_format``.",
    "box_format": "the boxes' format; see ``convert_format``.",
    "variance": "four numbers that scale deltas; None: all 1.",
    "image_shape": "(height, width, channels); None where no format is of fractions.",
}

_PLAIN = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
FORMATS = (*_PLAIN, *(f"rel_{name}" for name in _PLAIN[:4]))


@operation()
def convert_format(
    boxes: TensorLike | Boxes,
    source: str,
    target: str,
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    dtype: str = "float32",
) -> Tensor | dict[str, TensorLike]:
    """Return boxes in another format: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", or "rel_…", fractions of the image.

    Args:
        boxes: boxes (…, 4), or a dict that has them as "boxes".
        source: the format that they are in.
        target: the format of the result.
        dtype: the dtype of the result.

    >>> convert_format([[10.0, 20.0, 30.0, 60.0]], "xyxy", "center_xywh")
    tensor([[20., 40., 20., 40.]])
    """
    if isinstance(boxes, Mapping):
        return {**boxes, "boxes": _converted(boxes["boxes"], source, target, height, width, dtype)}
    return _converted(boxes, source, target, height, width, dtype)


def _converted(
    boxes: TensorLike, source: str, target: str, height: TensorLike | None, width: TensorLike | None, kind: str = "float32"
) -> Tensor:
    source, target = (one_of(name, each.lower(), FORMATS) for name, each in (("source", source), ("target", target)))
    made = _four(boxes).to(torch_dtype(kind))
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ArgumentError(
            "Fractions of an image need its size.", expected="height and width", got=f"height={height}, width={width}"
        )
    long, across = (None if each is None else _size(each, made) for each in (height, width))
    return kernels.converted(made, source, target, long, across)


def _four(boxes: TensorLike, name: str = "boxes") -> Tensor:
    made = tensor(boxes)
    known = shape(made)
    if not known or known[-1] not in (4, None):
        raise ShapeError(f"{name} must have four numbers for each box.", expected="(…, 4)", got=str(known))
    return made


def _size(value: TensorLike, like: Tensor) -> Tensor:
    """Return a size that broadcasts over coordinates (…,) of boxes (…, 4)."""
    if isinstance(value, (int, float)) and not value >= 0:
        raise ArgumentError("A size of images must be a number ≥ 0.", got=repr(value))
    made = tensor(value).to(like.dtype)
    return made[..., 0] if shape(made) else made


@operation()
def clip_to_image_size(
    bounding_boxes: Boxes, height: TensorLike | None = None, width: TensorLike | None = None, bounding_box_format: str = "xyxy"
) -> dict[str, TensorLike]:
    """Return boxes cut at the borders of images; the labels of those of which nothing is left are -1.

    Args:
        bounding_boxes: a dict of "boxes" (…, 4) and, where there are some, "labels" (…,).
        bounding_box_format: "xyxy" or "rel_xyxy".

    >>> boxes = {"boxes": [[-10.0, 5.0, 20.0, 50.0], [60.0, 0.0, 70.0, 9.0]], "labels": [1, 2]}
    >>> clip_to_image_size(boxes, 40, 30)
    {'boxes': tensor([[ 0.,  5., 20., 40.],
            [30.,  0., 30.,  9.]]), 'labels': tensor([ 1, -1], dtype=torch.int32)}
    """
    boxes = _four(bounding_boxes["boxes"])
    if one_of("bounding_box_format", bounding_box_format, ("xyxy", "rel_xyxy")) == "rel_xyxy":
        made = kernels.clipped(boxes, 1, 1)
    elif height is None or width is None:
        raise ArgumentError("Boxes in pixels need the size of the images.", got=f"height={height}, width={width}")
    else:
        made = kernels.clipped(boxes, _size(height, boxes), _size(width, boxes))
    found: dict[str, TensorLike] = {**bounding_boxes, "boxes": made}
    if bounding_boxes.get("labels") is not None:
        found["labels"] = kernels.labels_of_any(made, tensor(bounding_boxes["labels"]))
    return found


@operation()
def affine_transform(
    boxes: TensorLike, angle: TensorLike, translate_x: TensorLike, translate_y: TensorLike, scale: TensorLike,
    shear_x: TensorLike, shear_y: TensorLike, height: Positive, width: Positive, center_x: TensorLike | None = None,
    center_y: TensorLike | None = None, bounding_box_format: str = "xyxy",
) -> Tensor:  # fmt: skip
    """Return the boxes around boxes that are rotated, sheared, scaled and moved: (B, N, 4) or (N, 4) -> (B, N, 4).

    Args:
        angle: in degrees, a number or one for each image (B,), as are the others.
        translate_x: a fraction of the width.
        translate_y: a fraction of the height.
        scale: the factor.
        shear_x: in degrees.
        shear_y: in degrees.
        height: the height of the images.
        width: the width of the images.
        center_x: the fraction of the width around which they are turned; None: 0.5.
        center_y: the fraction of the height around which they are turned; None: 0.5.
        bounding_box_format: only "xyxy".

    >>> affine_transform([[[2.0, 3.0, 5.0, 4.0]]], [180.0], [0.0], [0.0], [1.0], [0.0], [0.0], 11, 11).round()
    tensor([[[5., 6., 8., 7.]]])
    """
    one_of("bounding_box_format", bounding_box_format, ("xyxy",))
    made = floats(_four(boxes))
    radians = math.pi / 180

    def spread(value: TensorLike) -> Tensor:
        found = tensor(value).to(made.dtype)
        return found.reshape((-1, 1, 1)) if shape(found) else found

    turn, slant_x, slant_y = (-spread(each) * radians for each in (angle, shear_x, shear_y))
    x0, y0 = (
        spread(0.5 if middle is None else middle) * (size - 1) for middle, size in ((center_x, width), (center_y, height))
    )
    x1, y1 = x0 - spread(translate_x) * (width - 1), y0 - spread(translate_y) * (height - 1)
    rest = turn - slant_y
    a, c = torch.cos(rest) / torch.cos(slant_y), -torch.sin(rest) / torch.cos(slant_y)
    b, d = a * torch.tan(slant_x) + torch.sin(turn), torch.cos(turn) - c * torch.tan(slant_x)
    factor = spread(scale)
    corners = kernels.corners_of(made)
    x, y = corners[..., 0] - x1, corners[..., 1] - y1
    return kernels.around(torch.stack((factor * (d * x - b * y) + x0, factor * (a * y - c * x) + y0), -1))


@operation()
def crop(
    boxes: TensorLike, top: Finite, left: Finite, height: Positive, width: Positive, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Return boxes as they are in a part of the image, cut at its borders.

    Args:
        top: where the part begins.
        left: where the part begins.
        height: its height.
        width: its width.
        bounding_box_format: only "xyxy".

    >>> crop([[10.0, 20.0, 50.0, 60.0]], top=10, left=20, height=40, width=20)
    tensor([[ 0., 10., 20., 40.]])
    """
    one_of("bounding_box_format", bounding_box_format, ("xyxy",))
    return kernels.clipped(kernels.scaled_boxes(_four(boxes), (1, 1), (-left, -top)), height, width)


@operation()
def pad(
    boxes: TensorLike, top: Finite, left: Finite, height: Positive | None = None, width: Positive | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:  # fmt: skip
    """Return boxes as they are in an image with padding.

    Args:
        top: how many rows come before the image.
        left: how many columns come before it.
        height: not needed.
        width: not needed.
        bounding_box_format: only "xyxy".

    >>> pad([[10.0, 20.0, 50.0, 60.0]], top=1, left=2)
    tensor([[12., 21., 52., 61.]])
    """
    one_of("bounding_box_format", bounding_box_format, ("xyxy",))
    return kernels.scaled_boxes(_four(boxes), (1, 1), (left, top))


@operation()
def encode_box_to_deltas(
    anchors: TensorLike, boxes: TensorLike, anchor_format: str, box_format: str, encoding_format: str = "center_yxhw",
    variance: TensorLike | None = None, image_shape: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Return boxes as distances from anchors: centers in sizes of the anchor, and logarithms of ratios of sizes.

    Args:
        encoding_format: "center_yxhw" or "center_xywh": the order of the four.

    >>> encode_box_to_deltas([[0.0, 0.0, 4.0, 4.0]], [[1.0, 2.0, 5.0, 6.0]], "xyxy", "xyxy")
    tensor([[0.5000, 0.2500, 0.0000, 0.0000]])
    """
    order = one_of("encoding_format", encoding_format, ("center_xywh", "center_yxhw"))
    height, width = _sizes(image_shape)
    start = _converted(anchors, anchor_format, order, height, width)
    there = _converted(boxes, box_format, order, height, width)
    size, other = (each[..., 2:].clamp(min=config.epsilon()) for each in (start, there))
    found = torch.cat(((there[..., :2] - start[..., :2]) / size, torch.log(other / size).expand_as(there[..., 2:])), -1)
    return found if variance is None else found / _variance(variance, found)


@operation()
def decode_deltas_to_boxes(
    anchors: TensorLike | Boxes, boxes_delta: TensorLike | Boxes, anchor_format: str, box_format: str,
    encoded_format: str = "center_yxhw", variance: TensorLike | None = None, image_shape: Sequence[int] | None = None,
) -> Tensor | dict[str, Tensor]:  # fmt: skip
    """Return the boxes that distances from anchors mean: the inverse of ``encode_box_to_deltas``.

    Args:
        anchors: boxes (N, 4), or a dict of them by level.
        boxes_delta: distances (N, 4) or (B, N, 4), or a dict of them.
        encoded_format: "center_yxhw" or "center_xywh": the order of the four.

    >>> decode_deltas_to_boxes([[0.0, 0.0, 4.0, 4.0]], [[0.5, 0.25, 0.0, 0.0]], "xyxy", "xyxy")
    tensor([[1., 2., 5., 6.]])
    """
    order = one_of("encoded_format", encoded_format, ("center_xywh", "center_yxhw"))
    height, width = _sizes(image_shape)

    def decoded(anchor: TensorLike, delta: TensorLike) -> Tensor:
        start, far = _converted(anchor, anchor_format, order, height, width), floats(_four(delta, "boxes_delta"))
        far = far if variance is None else far * _variance(variance, far)
        size = start[..., 2:]
        box = torch.cat((far[..., :2] * size + start[..., :2], torch.exp(far[..., 2:]) * size), -1)
        return _converted(box, order, box_format, height, width)

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {level: decoded(each, boxes_delta[level]) for level, each in anchors.items()}
    if isinstance(anchors, Mapping) or isinstance(boxes_delta, Mapping):
        raise ArgumentError("Levels need anchors and deltas by level.", expected="two dicts of the same keys, or two tensors")
    return decoded(anchors, boxes_delta)


@operation()
def compute_iou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, use_masking: bool = False, mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Return the intersection over the union of each pair of boxes: (N, 4), (M, 4) -> (N, M), with a batch (B, N, M).

    Args:
        use_masking: whether pairs with a box whose numbers are all negative give ``mask_val``.
        mask_val: what they give.

    >>> compute_iou([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]], "xyxy")
    tensor([[1.0000, 0.3333]])
    """
    height, width = _sizes(image_shape)
    first, second = (_converted(each, bounding_box_format, "xyxy", height, width) for each in (boxes1, boxes2))
    for name, each in (("boxes1", first), ("boxes2", second)):
        check_rank(each, (2, 3), "(N, 4) or (B, N, 4)", name)
    one, other = first.unsqueeze(-2), second.unsqueeze(-3)
    common = _area(torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:]), least=0)
    areas = _area(one[..., :2], one[..., 2:]) + _area(other[..., :2], other[..., 2:])
    found = common / (areas - common + config.epsilon())
    if not use_masking:
        return found
    absent = (one.amax(-1) < 0) | (other.amax(-1) < 0)
    return torch.where(absent, mask_val, found)


@operation()
def compute_ciou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """Return the complete IoU of boxes with their partners, (…, 4) -> (…,): less for distant centers and other ratios.

    IoU - ρ² / c² - α · v, with the distance ρ of the centers, the diagonal c of what encloses both, the difference v of the
    aspect ratios and α = v / (1 - IoU + v) (Zheng et al. 2020).

    Args:
        boxes1: boxes (…, 4).
        boxes2: boxes (…, 4), one for each.

    >>> compute_ciou([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0]], "xyxy")
    tensor([0.2564])
    """
    height, width = _sizes(image_shape)
    one, other = (_converted(each, bounding_box_format, "xyxy", height, width) for each in (boxes1, boxes2))
    least = config.epsilon()
    common = _area(torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:]), least=0)
    sizes = [each[..., 2:] - each[..., :2] for each in (one, other)]
    (wide, tall), (broad, high) = ((each[..., 0], each[..., 1] + least) for each in sizes)
    ratio = common / (wide * tall + broad * high - common + 2 * least)
    outer = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    apart = (one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) / 2
    shapes = 4 / math.pi**2 * (torch.atan(broad / high) - torch.atan(wide / tall)).square()
    weight = shapes / (shapes - ratio + 1 + least)
    return ratio - (apart.square().sum(-1) / (outer.square().sum(-1) + least) + shapes * weight)


def _area(start: Tensor, end: Tensor, least: float | None = None) -> Tensor:
    size = end - start if least is None else (end - start).clamp(min=least)
    return size[..., 0] * size[..., 1]


def _sizes(image_shape: Sequence[int] | None) -> tuple[int | None, int | None]:
    if image_shape is None:
        return None, None
    if len(image_shape) != 3:
        raise ArgumentError("image_shape is that of one image.", expected="(height, width, channels)", got=str(image_shape))
    return image_shape[0], image_shape[1]


def _variance(variance: TensorLike, like: Tensor) -> Tensor:
    made = tensor(variance).to(like.dtype)
    if shape(made)[-1:] != (4,):
        raise ShapeError("variance must have four numbers.", expected="(4,)", got=str(shape(made)))
    return made
