"""Segmentation masks drawn on images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from anabranch import config
from anabranch._arguments import Several, guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentError, DtypeError, ShapeError
from anabranch.ops.core import convert_to_numpy
from anabranch.visualization._pixels import as_given, channels_last, in_bytes

if TYPE_CHECKING:
    from anabranch.ops._types import TensorLike
    from anabranch.visualization._pixels import Array

_PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)  # red, green and blue of class 1, before they are taken modulo 255


@guarded
def draw_segmentation_masks(
    images: TensorLike,
    segmentation_masks: TensorLike,
    num_classes: Several | None = None,
    color_mapping: Mapping[int, Sequence[float]] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> Array:
    """Return images with the classes of their pixels as colors over them, as an array of bytes.

    Args:
        images: a batch (B, H, W, 3), in values up to 255, floats also up to 1.
        segmentation_masks: the class of each pixel, integers (B, H, W) or (B, H, W, 1).
        num_classes: classes above it are not drawn; all are unless given.
        color_mapping: red, green and blue of classes, up to 255; others are not drawn. A palette unless given.
        alpha: the opacity of the colors, from 0 to 1.
        blend: whether the image shows through; the colors replace it otherwise.
        ignore_index: the class that is not drawn.
        data_format: ``"channels_last"`` or ``"channels_first"``, (B, 3, H, W); that of ``config`` unless given.

    Example:
        >>> import numpy as np
        >>> masks = np.array([[[0, 1]]])
        >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, color_mapping={1: (100, 0, 50)}).tolist()
        [[[[0, 0, 0], [80, 0, 40]]]]
    """
    if not 0 <= alpha <= 1:
        raise ArgumentError("alpha must be from 0 to 1.", got=shown(alpha))
    found = in_bytes(channels_last(images, data_format)).astype("float32")
    if found.shape[3] != 3:
        raise ShapeError("Expected images of three channels.", got=f"{found.shape[3]} channels; shape {found.shape}")
    classes = _classes(segmentation_masks, found, data_format)
    drawn = found.copy()
    for label, color in _colors(classes, num_classes, color_mapping).items():
        if label != ignore_index:
            drawn[classes == label] = color
    if blend:
        drawn = found * (1 - alpha) + drawn * alpha
        ignored = classes == ignore_index
        drawn[ignored] = found[ignored]
    return as_given(drawn.clip(0, 255).astype("uint8"), data_format)


def _classes(masks: TensorLike, images: Array, data_format: str | None) -> Array:
    """Return the class of each pixel, (B, H, W)."""
    found = convert_to_numpy(masks)
    if found.dtype.kind not in "iu":
        raise DtypeError("segmentation_masks must be integers.", got=str(found.dtype), repair='masks.astype("int32")')
    given = found.shape
    if found.ndim == 4:
        axis = 1 if config.check_data_format(data_format) == "channels_first" else 3
        found = found.squeeze(axis) if found.shape[axis] == 1 else found
    if found.shape != images.shape[:3]:
        sizes = ", ".join(map(str, images.shape[:3]))
        raise ShapeError("Each pixel needs a class.", expected=f"({sizes}) or with a last axis of 1", got=f"masks {given}")
    return found


def _colors(
    classes: Array, num_classes: int | None, mapping: Mapping[int, Sequence[float]] | None
) -> dict[int, Sequence[float]]:
    """Return the colors of the classes that occur and are drawn."""
    import numpy as np

    labels = [label for label in np.unique(classes).tolist() if label >= 0 and (num_classes is None or label <= num_classes)]
    if mapping is None:
        return {label: [label * each % 255 for each in _PALETTE] for label in labels}
    for color in mapping.values():
        if len(color) != 3:
            raise ArgumentError("color_mapping has three numbers for each class: red, green, blue.", got=shown(color))
    return {label: mapping[label] for label in labels if label in mapping}
