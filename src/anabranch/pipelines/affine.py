"""One image under a rotation, shift, shear and zoom about its middle, and other changes of one image, in NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from anabranch import _images
from anabranch._errors import ArgumentError

Array = np.ndarray[Any, np.dtype[Any]]
FILL_MODES = ("nearest", "constant", "reflect", "wrap")


class Transform(NamedTuple):
    """What is done to one image, in this order."""

    theta: float = 0.0
    tx: float = 0.0
    ty: float = 0.0
    shear: float = 0.0
    zx: float = 1.0
    zy: float = 1.0
    channel_shift_intensity: float | None = None
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: float | None = None

    @property
    def moves(self) -> bool:
        """Whether pixels move, but for flips."""
        return self[:6] != (0, 0, 0, 0, 1, 1)


def matrix(by: Transform, height: int, width: int) -> Array:
    """Return the matrix (2, 3) from a pixel's (row, column, 1) to where its value comes from.

    >>> matrix(Transform(tx=1.0), 4, 4).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    turn, slope = np.deg2rad(by.theta), np.deg2rad(by.shear)
    found = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    found = found @ np.array([[1, 0, by.tx], [0, 1, by.ty], [0, 0, 1]])
    found = found @ np.array([[1, -np.sin(slope), 0], [0, np.cos(slope), 0], [0, 0, 1]])
    found = found @ np.diag([by.zx, by.zy, 1.0])
    middle = np.array([[1, 0, height / 2 - 0.5], [0, 1, width / 2 - 0.5], [0, 0, 1]])
    whole: Array = middle @ found @ np.linalg.inv(middle)
    return whole[:2]


def moved(x: Array, by: Transform, fill_mode: str, cval: float, order: int) -> Array:
    """Return the image (H, W, C) under a transform; ``order`` 1 interpolates, 0 takes the nearest pixel."""
    height, width, _ = x.shape
    grid = np.stack([*np.mgrid[:height, :width], np.ones((height, width))])
    rows, columns = np.tensordot(matrix(by, height, width), grid, 1)
    outside = _outside(rows, height) | _outside(columns, width) if fill_mode == "constant" else None
    (r0, r1, r), (c0, c1, c) = _neighbors(rows, height, fill_mode, order), _neighbors(columns, width, fill_mode, order)
    top = x[r0, c0] * (1 - c) + x[r0, c1] * c
    found = top * (1 - r) + (x[r1, c0] * (1 - c) + x[r1, c1] * c) * r
    if outside is not None:
        found[outside] = cval
    result: Array = found.astype(x.dtype)
    return result


def _outside(at: Array, size: int) -> Array:
    found: Array = (at < -1e-9) | (at > size - 1 + 1e-9)
    return found


def _neighbors(at: Array, size: int, mode: str, order: int) -> tuple[Array, Array, Array]:
    """Return the positions on both sides, and how near the second is, (H, W, 1)."""
    if mode in ("nearest", "constant"):
        at = np.clip(at, 0, size - 1)
    elif mode == "wrap":  # with the period of SciPy, on which the first and the last pixel are one
        at = np.mod(at, max(size - 1, 1))
    at = np.floor(at + 0.5) if order == 0 else at
    first = np.floor(at)
    pair = [first.astype(int), first.astype(int) + 1]
    if mode == "reflect":
        pair = [np.where((turned := np.mod(each, 2 * size)) >= size, 2 * size - 1 - turned, turned) for each in pair]
    else:
        pair = [np.clip(each, 0, size - 1) for each in pair]
    return pair[0], pair[1], (at - first)[..., None]


def shifted_channels(x: Array, intensity: float) -> Array:
    """Return the image with a number added, within the range of its values."""
    found: Array = np.clip(x + intensity, x.min(), x.max())
    return found


def brightened(x: Array, factor: float) -> Array:
    """Return the image (H, W, C) darker or brighter, as Pillow makes it."""
    from PIL import ImageEnhance

    low, high = float(x.min()), float(x.max())
    scale = low < 0 or high > 255
    image = ImageEnhance.Brightness(_images.array_to_img(x, "channels_last", scale)).enhance(factor)
    found = _images.img_to_array(image, "channels_last")
    return found / 255 * (high - low) + low if scale else found


def check(fill_mode: str, order: int) -> None:
    """Refuse what ``moved`` does not do."""
    if fill_mode not in FILL_MODES:
        raise ArgumentError("Unknown fill_mode.", expected=", ".join(FILL_MODES), got=repr(fill_mode))
    if order not in (0, 1):
        raise ArgumentError("interpolation_order must be 0 (the nearest pixel) or 1 (linear).", got=repr(order))
