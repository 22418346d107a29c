"""Images of arrays: which values they have, and PNG files of them, without a package for pictures."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LARGEST = 64  # pixels of the longer side of a small picture


def is_image(shape: Sequence[int]) -> bool:
    """Return whether a sample of this shape is taken for an image: (H, W), (H, W, C) or (C, H, W).

    >>> is_image((32, 32, 3)), is_image((3, 32, 32)), is_image((28, 28)), is_image((7,))
    (True, True, True, False)
    """
    return len(shape) == 2 or (len(shape) == 3 and (shape[-1] in (1, 3, 4) or shape[0] in (1, 3, 4)))


def images(samples: Sequence[Array]) -> list[Array]:
    """Return samples as uint8 images (H, W, 3), on one scale for all.

    Values from 0 to 255 or from 0 to 1 are what they seem; others, such as standardized ones, are stretched from the least to
    the largest of all.
    """
    import numpy as np

    if not samples:
        return []
    arrays = [_channels_last(np.asarray(sample)) for sample in samples]
    values = [array.astype("float32") for array in arrays]
    finite = [array[np.isfinite(array)] for array in values]
    low = min((float(array.min()) for array in finite if array.size), default=0.0)
    high = max((float(array.max()) for array in finite if array.size), default=0.0)
    if arrays[0].dtype == "uint8" or (low >= 0 and 1 < high <= 255):
        scale, low = 1.0, 0.0
    elif low >= 0 and high <= 1:
        scale, low = 255.0, 0.0
    else:
        scale = 255.0 / (high - low)
    scaled = [np.nan_to_num((array - low) * scale, nan=0.0, posinf=255.0, neginf=0.0) for array in values]
    return [np.broadcast_to(np.clip(np.round(array), 0, 255).astype("uint8"), (*array.shape[:2], 3)) for array in scaled]


def _channels_last(sample: Array) -> Array:
    """Return a sample as (H, W, 1) or (H, W, 3); of an image with transparency, the colors."""
    if sample.ndim == 2:
        return sample[..., None]
    if sample.shape[-1] not in (1, 3, 4):
        sample = sample.transpose(1, 2, 0)
    return sample[..., :3]


def small(image: Array) -> Array:
    """Return an image with sides of at most ``LARGEST`` pixels: every so many of its pixels."""
    stride = -(-max(image.shape[:2]) // LARGEST)
    return image[::stride, ::stride]


def png(image: Array) -> bytes:
    """Return a uint8 image (H, W, 3) as a PNG file (ISO/IEC 15948)."""
    height, width, _ = image.shape
    rows = b"".join(b"\0" + image[row].tobytes() for row in range(height))  # each after its filter, none
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of three colors
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def inline(image: Array, alt: str, width: int = 72) -> str:
    """Return an image as an HTML element that holds it."""
    from html import escape

    data = base64.b64encode(png(small(image))).decode()
    return (
        f'<img src="data:image/png;base64,{data}" alt="{escape(alt, quote=True)}" width="{width}" '
        'style="image-rendering:pixelated">'
    )
