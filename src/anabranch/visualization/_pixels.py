"""Batches of images as NumPy arrays on the host, channels last, in values from 0 to 255."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch import config
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ShapeError
from anabranch.ops.core import convert_to_numpy

if TYPE_CHECKING:
    import numpy as np

    from anabranch.ops._types import TensorLike

    Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def channels_last(images: TensorLike, data_format: str | None) -> Array:
    """Return images as an array (B, H, W, C)."""
    found = convert_to_numpy(images)
    if found.ndim != 4:
        raise ShapeError("images must be a batch, a 4-D array.", expected="(B, H, W, C)", got=f"shape {found.shape}")
    return found.transpose(0, 2, 3, 1) if config.check_data_format(data_format) == "channels_first" else found


def as_given(images: Array, data_format: str | None) -> Array:
    """Return images (B, H, W, C) in the order of axes that was given."""
    return images.transpose(0, 3, 1, 2) if config.check_data_format(data_format) == "channels_first" else images


def in_bytes(images: Array) -> Array:
    """Return images in values from 0 to 255; floats up to 1 count as fractions of 255."""
    if images.dtype.kind == "f" and images.size and images.max() <= 1:
        return images.clip(0, 1) * 255
    return images.clip(0, 255)


def from_range(images: Array, value_range: Sequence[float]) -> Array:
    """Return images whose values are in a range as bytes; those of the range (0, 255) as they are."""
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ArgumentError("value_range must be (least, greatest).", got=shown(value_range))
    low, high = value_range
    if (low, high) == (0, 255):
        return images
    return ((images.astype("float32") - low) * (255 / (high - low))).clip(0, 255).astype("uint8")
