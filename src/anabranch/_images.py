"""Pictures in files and as arrays, by Pillow: reading, writing, one as the other."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from anabranch import config
from anabranch._arguments import guarded
from anabranch._asked import method, on_host, shown
from anabranch._errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    FileError,
    FileFormatError,
    MissingExtraError,
    unknown,
)
from anabranch.config.precision import DATA

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import ArrayLike
    from PIL.Image import Image, Resampling

    Array = np.ndarray[Any, np.dtype[Any]]


FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
"""What names of pictures end in, where a folder is searched."""
_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_GREYS = ("L", "I;16", "I")  # of 8, 16 and 32 bits
_KERNELS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> ModuleType:
    """Return Pillow's module of images."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "Pictures are read and written by Pillow, which is not installed.", repair="pip install anabranch[images]"
        ) from error
    return Image


@guarded
def array_to_img(x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: str | None = None) -> Image:
    """Return an array (H, W, C) as a Pillow image of 1 (grey), 3 (RGB) or 4 (RGBA) channels.

    Args:
        x: the array or tensor.
        data_format: ``"channels_last"`` or ``"channels_first"``, (C, H, W); that of ``config`` unless given.
        scale: whether the least value becomes 0 and the greatest 255; values are cut to integers otherwise.
        dtype: the type in which that is computed; ``config.floatx()`` unless given.

    Raises:
        MissingExtraError: Pillow is not installed.
        DataError: not one image, or another count of channels.

    Example:
        >>> array_to_img([[[0.0], [1.0]]]).getpixel((1, 0))
        255
    """
    import numpy as np

    image = pillow()
    array = np.array(on_host(x), _numbers(dtype))
    if array.ndim != 3:
        raise DataError("Expected one image, a 3-D array.", got=f"shape {array.shape}")
    if config.check_data_format(data_format) == "channels_first":
        array = array.transpose(1, 2, 0)
    if array.shape[2] not in (1, 3, 4) or not array.size:
        raise DataError("Expected an image of 1, 3 or 4 channels.", got=f"shape {array.shape}")
    if scale:
        array -= array.min()
        array = array / (array.max() or 1) * 255
    wide = array.shape[2] == 1 and array.max() > 255  # grey of more than 8 bits
    with np.errstate(invalid="ignore"):
        pixels = array.astype("int32" if wide else "uint8")
    found: Image = image.fromarray(pixels[:, :, 0] if array.shape[2] == 1 else pixels)
    return found


@guarded
def img_to_array(img: Image, data_format: str | None = None, dtype: str | None = None) -> Array:
    """Return a Pillow image as an array (H, W, C).

    Args:
        img: the image.
        data_format: ``"channels_last"`` or ``"channels_first"``, (C, H, W); that of ``config`` unless given.
        dtype: the array's type; ``config.floatx()`` unless given.

    Example:
        >>> img_to_array(array_to_img([[[0.0], [1.0]]])).tolist()
        [[[0.0], [255.0]]]
    """
    import numpy as np

    if method(img, "resize") is None:
        raise ArgumentTypeError("img must be a Pillow image.", got=shown(img))
    array = np.asarray(on_host(img), _numbers(dtype))
    if array.ndim not in (2, 3):
        raise DataError("Expected an image of two or three axes.", got=f"shape {array.shape}")
    array = array[:, :, None] if array.ndim == 2 else array
    return array.transpose(2, 0, 1) if config.check_data_format(data_format) == "channels_first" else array


@guarded
def load_img(
    path: str | os.PathLike[str] | bytes | IO[bytes],
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Return the picture in a file as a Pillow image.

    Args:
        path: the file's path, or an open file.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        target_size: the (height, width) to resize to; as in the file unless given.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos"``, ``"box"`` or ``"hamming"``.
        keep_aspect_ratio: whether the middle is cut out in the ratio of ``target_size``, in the place of stretching.

    Raises:
        MissingExtraError: Pillow is not installed.
        FileError: the file cannot be read.
        FileFormatError: it is no picture that Pillow knows.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> save_img(file, [[[0.0], [1.0]]], file_format="png")
        >>> load_img(file, color_mode="grayscale", target_size=(4, 6)).size
        (6, 4)
    """
    pillow()
    if not isinstance(color_mode, str) or color_mode not in _MODES:
        raise ArgumentError("color_mode must be 'grayscale', 'rgb' or 'rgba'.", got=shown(color_mode))
    kernel, image = _kernel(interpolation), _opened(path)
    if image.mode != _MODES[color_mode] and not (color_mode == "grayscale" and image.mode in _GREYS):
        image = image.convert(_MODES[color_mode])
    if target_size is None:
        return image
    size = _size(target_size)
    if image.size == size:
        return image
    if not keep_aspect_ratio:
        return image.resize(size, kernel)
    return image.resize(size, kernel, box=_middle(image.size, size))


@guarded
def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: object,
) -> None:
    """Write an array (H, W, C) as a picture.

    Args:
        path: the file's path, or an open file.
        x: the array or tensor.
        data_format: ``"channels_last"`` or ``"channels_first"``, (C, H, W); that of ``config`` unless given.
        file_format: such as ``"png"``; what the name ends in unless given. JPEG has no transparency, so RGBA becomes RGB.
        scale: whether the least value becomes 0 and the greatest 255.
        **kwargs: what Pillow's ``save`` takes, such as ``quality``.

    Raises:
        FileError: the file cannot be written.
        ArgumentError: Pillow writes no such format.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> save_img(file, [[[0.0], [1.0]]], file_format="png")
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    image = array_to_img(x, data_format, scale)
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:]
    kind = (file_format or "").lower()
    kind = "jpeg" if kind == "jpg" else kind
    if image.mode == "RGBA" and kind == "jpeg":
        image = image.convert("RGB")
    pillow().init()
    if kind.upper() not in pillow().SAVE:
        raise ArgumentError(
            "Pillow writes no such format.",
            expected="a name that ends in .png, .jpg, …, or file_format=",
            got=shown(file_format or path),
        )
    try:
        image.save(path, kind, **kwargs)
    except (OSError, KeyError, ValueError) as error:
        raise FileError.of(error, f"Could not write {shown(path)}.", got=str(error)[:200]) from error


def _numbers(dtype: str | None) -> str:
    """Return the name of a dtype that NumPy has."""
    name = dtype or config.floatx()
    if name not in DATA or name == "bfloat16":
        raise unknown("dtype", name, DATA)
    return name


def _opened(path: object) -> Image:
    """Return the picture, read whole, so that no file stays open."""
    source = path
    try:
        if isinstance(path, (str, bytes, os.PathLike)):
            source = io.BytesIO(Path(os.fsdecode(path)).read_bytes())
        elif method(path, "read") is None:
            raise ArgumentTypeError("path must be a path or an open file.", got=shown(path))
        image: Image = pillow().open(source)
        image.load()
    except OSError as error:
        where = str(path) if isinstance(path, (str, os.PathLike)) else shown(path)
        if error.errno is None:  # Pillow's own
            raise FileFormatError(f"{where} is no picture, or damaged.", got=str(error)[:200]) from error
        raise FileError.of(error, f"Could not read {where}.", got=error.strerror) from error
    except (ValueError, SyntaxError) as error:
        raise FileFormatError(f"{shown(path)} cannot be read as a picture.", got=str(error)[:200]) from error
    return image


def _size(target: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height), as Pillow has it, of (height, width)."""
    if len(target) != 2 or min(target) < 1:
        raise ArgumentError("target_size must be (height, width), both ≥ 1.", got=shown(target))
    return int(target[1]), int(target[0])


def _kernel(interpolation: str) -> Resampling:
    if interpolation not in _KERNELS:
        raise unknown("interpolation", interpolation, _KERNELS)
    found: Resampling = pillow().Resampling[interpolation.upper()]
    return found


def _middle(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the largest part in the middle that has the ratio of ``wanted``.

    >>> _middle((340, 500), (200, 200))
    (0, 80, 340, 420)
    """
    (width, height), (new_width, new_height) = size, wanted
    rows, columns = min(height, width * new_height // new_width), min(width, height * new_width // new_height)
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows
