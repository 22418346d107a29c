"""Bounding boxes (…, 4) in the formats of Keras: corners, or a corner or the center with a size, in pixels or fractions."""

from __future__ import annotations

from typing import TypeAlias

import torch

from anabranch.ops._types import Tensor

Length: TypeAlias = "float | Tensor"


def converted(boxes: Tensor, source: str, target: str, height: Length | None, width: Length | None) -> Tensor:
    """Return boxes in another format; the sizes of the images are needed where one of the two formats is of fractions."""
    if source == target:
        return boxes
    left, top, right, bottom = _corners(boxes, source.removeprefix("rel_"))
    if height is not None and width is not None and source.startswith("rel_") != target.startswith("rel_"):
        if target.startswith("rel_"):
            left, top, right, bottom = left / width, top / height, right / width, bottom / height
        else:
            left, top, right, bottom = left * width, top * height, right * width, bottom * height
    return _written((left, top, right, bottom), target.removeprefix("rel_"))


def _corners(boxes: Tensor, source: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    a, b, c, d = (boxes[..., place] for place in range(4))
    if source.startswith(("yx", "center_yx")):  # rows first
        a, b, c, d = b, a, d, c
    if source in ("xyxy", "yxyx"):
        return a, b, c, d
    if source == "xywh":
        return a, b, a + c, b + d
    return a - c / 2, b - d / 2, a + c / 2, b + d / 2


def _written(corners: tuple[Tensor, Tensor, Tensor, Tensor], target: str) -> Tensor:
    a, b, c, d = corners
    if target not in ("xyxy", "yxyx"):
        wide, tall = c - a, d - b
        a, b = (a, b) if target == "xywh" else (a + wide / 2, b + tall / 2)
        c, d = wide, tall
    return torch.stack((b, a, d, c) if target.startswith(("yx", "center_yx")) else (a, b, c, d), -1)


def clipped(boxes: Tensor, height: Length, width: Length) -> Tensor:
    """Return boxes as corners, cut at the borders of images."""
    across, down = (_between(boxes[..., place::2], size) for place, size in ((0, width), (1, height)))
    return torch.stack((across[..., 0], down[..., 0], across[..., 1], down[..., 1]), -1)


def _between(x: Tensor, most: Length) -> Tensor:
    return x.clamp(min=0).minimum(most) if isinstance(most, torch.Tensor) else x.clamp(min=0).clamp(max=most)


def labels_of_any(boxes: Tensor, labels: Tensor) -> Tensor:
    """Return labels with -1 for boxes, as corners, that have no area."""
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return torch.where(areas > 0, labels, -1)


def around(points: Tensor) -> Tensor:
    """Return the boxes around points (…, n, 2)."""
    return torch.cat((points.amin(-2), points.amax(-2)), -1)


def corners_of(boxes: Tensor) -> Tensor:
    """Return the four corners (…, 4, 2) of boxes (…, 4)."""
    left, top, right, bottom = (boxes[..., place] for place in range(4))
    points = ((left, top), (right, top), (right, bottom), (left, bottom))
    return torch.stack([torch.stack(point, -1) for point in points], -2)


def moved(boxes: Tensor, maps: Tensor) -> Tensor:
    """Return the boxes (B, N, 4) around boxes of images that are read by maps (B, 8), as ``projected`` reads them."""
    one = torch.ones_like(maps[:, :1])
    backward = torch.inverse(torch.cat((maps, one), 1).reshape(-1, 1, 3, 3))
    corners = corners_of(boxes)
    points = torch.cat((corners, torch.ones_like(corners[..., :1])), -1) @ backward.transpose(-1, -2)
    return around(points[..., :2] / points[..., 2:])


def scaled_boxes(boxes: Tensor, by: tuple[Length, Length], shift: tuple[Length, Length]) -> Tensor:
    """Return boxes as corners scaled, then shifted, along columns and along rows."""
    across, down = (boxes[..., place::2] * by[place] + shift[place] for place in range(2))
    return torch.stack((across[..., 0], down[..., 0], across[..., 1], down[..., 1]), -1)


def boxes_from(boxes: Tensor, lefts: Tensor, tops: Tensor) -> Tensor:
    """Return boxes (B, N, 4) as corners, counted from a left and a top (B,) of each image."""
    start = torch.stack((lefts, tops, lefts, tops), -1).unsqueeze(-2)
    return boxes - start


def mirrored_boxes(boxes: Tensor, chosen: Tensor, length: Length, place: int) -> Tensor:
    """Return the boxes (B, N, 4), as corners, of chosen images mirrored along columns (``place`` 0) or rows (1)."""
    parts = [boxes[..., each] for each in range(4)]
    turned = length - parts[place + 2], length - parts[place]
    which = chosen.reshape(-1, 1)
    parts[place], parts[place + 2] = (
        torch.where(which, new, old) for new, old in zip(turned, (parts[place], parts[place + 2]), strict=True)
    )
    return torch.stack(parts, -1)


def boxes_chosen(boxes: Tensor, which: Tensor, changed: Tensor) -> Tensor:
    """Return the boxes (B, N, 4) of the images that are chosen changed, the others as they are."""
    return torch.where(which.reshape(-1, 1, 1), changed, boxes)
