"""Images (B, H, W, C) or (H, W, C) of another size: resized, padded, cropped."""

from __future__ import annotations

from collections.abc import Callable

from anabranch import config
from anabranch._errors import ArgumentError
from anabranch.graph.shapes import per_axis
from anabranch.ops._images import as_batch, as_kind
from anabranch.ops._public import operation
from anabranch.ops._torch import F, kernels, torch
from anabranch.ops._types import Sizes, Tensor, TensorLike
from anabranch.ops._values import check_rank, dtype, floats, one_of, rank, shape, sizes, tensor, torch_dtype

ARGUMENTS = {
    "images": "images (B, H, W, C) or (H, W, C).",
    "target_height": "the height of the result.",
    "target_width": "the width of the result.",
}

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}
_WEIGHTED = ("lanczos3", "lanczos5")  # which torch has not


@operation()
def resize(
    images: TensorLike,
    size: Sizes,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Return images resized to (height, width); integers are rounded.

    Args:
        size: the new (height, width).
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether a pixel averages over all that it covers.
        crop_to_aspect_ratio: whether to crop to the new aspect ratio first, instead of stretching.
        pad_to_aspect_ratio: whether to pad to the new aspect ratio first, instead of stretching.
        fill_mode: only "constant".
        fill_value: the value of padding.

    >>> import torch
    >>> resize(torch.ones(1, 4, 4, 3), (2, 2)).shape
    torch.Size([1, 2, 2, 3])
    """
    layout = config.check_data_format(data_format)
    one_of("interpolation", interpolation, (*_MODES, *_WEIGHTED))
    one_of("fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError(
            "An image is cropped or padded to the ratio, not both.", got="crop_to_aspect_ratio, pad_to_aspect_ratio"
        )
    wanted = per_axis(size, 2, "size")
    images = tensor(images)
    kind = dtype(images)
    x, alone = as_batch(floats(images))
    x = x.permute(0, 3, 1, 2) if layout == "channels_last" else x
    if crop_to_aspect_ratio:
        x = _cropped_to_ratio(x, wanted)
    elif pad_to_aspect_ratio:
        x = _padded_to_ratio(x, wanted, fill_value)
    x = _interpolated(x, wanted, interpolation, antialias, kind)
    x = x.permute(0, 2, 3, 1) if layout == "channels_last" else x
    x = torch.squeeze(x, 0) if alone else x
    return as_kind(x, kind)


def _interpolated(x: Tensor, wanted: tuple[int, ...], interpolation: str, antialias: bool, kind: str) -> Tensor:
    """Return (B, C, H, W) resized; torch filters 32 bits or more."""
    if interpolation in _WEIGHTED:
        wide = x.float() if "16" in kind else x
        for length in reversed(wanted):  # columns, then rows
            before = sizes(wide)[-1]
            scale, shift = kernels.number_like(wide, length / before), kernels.number_like(wide, 0.0)
            weights = kernels.resampling(before, length, scale, shift, interpolation, antialias=antialias)
            wide = torch.matmul(wide, weights).transpose(2, 3)
        return wide
    smooth = interpolation != "nearest"
    x = x.float() if antialias and "float" in kind and torch_dtype(kind).itemsize == 2 else x
    return F.interpolate(
        x, size=wanted, mode=_MODES[interpolation], align_corners=False if smooth else None, antialias=antialias and smooth
    )


def _greater(a: int, b: int) -> int:
    greater: Callable[[int, int], int] = torch.sym_max  # which torch leaves untyped
    return greater(a, b)


def _lesser(a: int, b: int) -> int:
    lesser: Callable[[int, int], int] = torch.sym_min
    return lesser(a, b)


def _cropped_to_ratio(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
    *_, height, width = sizes(x)
    rows = _greater(_lesser(height, width * wanted[0] // wanted[1]), 1)
    columns = _greater(_lesser(width, height * wanted[1] // wanted[0]), 1)
    return x.narrow(2, (height - rows) // 2, rows).narrow(3, (width - columns) // 2, columns)


def _padded_to_ratio(x: Tensor, wanted: tuple[int, ...], value: float) -> Tensor:
    *_, height, width = sizes(x)
    above = (_greater(height, width * wanted[0] // wanted[1]) - height) // 2
    beside = (_greater(width, height * wanted[1] // wanted[0]) - width) // 2
    return F.pad(x, (beside, beside, above, above), value=value)


@operation()
def pad_images(
    images: TensorLike, top_padding: int | None = None, left_padding: int | None = None, bottom_padding: int | None = None,
    right_padding: int | None = None, target_height: int | None = None, target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return images with zeros around them; two of top, bottom and ``target_height`` are given, and two across.

    Args:
        top_padding: rows above.
        left_padding: columns at the left.
        bottom_padding: rows below.
        right_padding: columns at the right.

    >>> import torch
    >>> pad_images(torch.ones(1, 2, 2, 3), 1, 1, 1, 1).shape
    torch.Size([1, 4, 4, 3])
    """
    x, first, height, width, known = _spatial(images, data_format)
    top, bottom = _both_ends("height", "padding", height, target_height, top_padding, bottom_padding, +1, known)
    left, right = _both_ends("width", "padding", width, target_width, left_padding, right_padding, +1, known)
    after = (0, 0) * (rank(x) - first - 2)
    return F.pad(x, (*after, left, right, top, bottom))


@operation()
def crop_images(
    images: TensorLike, top_cropping: int | None = None, left_cropping: int | None = None,
    bottom_cropping: int | None = None, right_cropping: int | None = None, target_height: int | None = None,
    target_width: int | None = None, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Return a window of images; two of top, bottom and ``target_height`` are given, and two across.

    Args:
        top_cropping: rows off the top.
        left_cropping: columns off the left.
        bottom_cropping: rows off the bottom.
        right_cropping: columns off the right.

    >>> import torch
    >>> crop_images(torch.ones(1, 4, 4, 3), 1, 1, 1, 1).shape
    torch.Size([1, 2, 2, 3])
    """
    x, first, height, width, known = _spatial(images, data_format)
    top, bottom = _both_ends("height", "cropping", height, target_height, top_cropping, bottom_cropping, -1, known)
    left, right = _both_ends("width", "cropping", width, target_width, left_cropping, right_cropping, -1, known)
    return x.narrow(first, top, height - top - bottom).narrow(first + 1, left, width - left - right)


def _spatial(images: TensorLike, data_format: str | None) -> tuple[Tensor, int, int, int, bool]:
    """Return the images, the axis of their height, their height and width, and whether both are known."""
    layout = config.check_data_format(data_format)
    x = tensor(images)
    first = check_rank(x, (3, 4), "(batch, height, width, channels)", "images") - (3 if layout == "channels_last" else 2)
    height, width = sizes(x)[first : first + 2]
    return x, first, height, width, None not in shape(x)[first : first + 2]


def _both_ends(
    axis: str, what: str, size: int, target: int | None, before: int | None, after: int | None, sign: int, known: bool
) -> tuple[int, int]:
    """Return what is added (sign 1) or taken off (-1) at both ends of an axis, of which two of three numbers say."""
    ends = ("top", "bottom") if axis == "height" else ("left", "right")
    if sum(number is None for number in (target, before, after)) != 1:
        raise ArgumentError(
            f"Two numbers say where the {axis} goes, neither less nor more.",
            expected=f"two of {ends[0]}_{what}, {ends[1]}_{what}, target_{axis}", got=f"{before}, {after}, {target}",
        )  # fmt: skip
    if target is not None:
        change = (target - size) * sign
        before, after = (change - after, after) if before is None and after is not None else (before, change - (before or 0))
    if any(isinstance(number, int) and number < 0 for number in (before, after)) and (known or target is None):
        raise ArgumentError(f"The {what} would be negative.", got=f"{axis} {size}, {ends[0]} {before}, {ends[1]} {after}")
    return before, after  # type: ignore[return-value]  # two of the three numbers are given
