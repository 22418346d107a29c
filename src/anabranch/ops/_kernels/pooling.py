"""Pooling windows over any number of spatial axes, and pooling over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.convolution import channels_back, channels_front, flat_pads, is_even, same_pads
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import sizes

_MAX = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pool(x: Tensor, mode: str, window: tuple[int, ...], strides: tuple[int, ...], padding: str, data_format: str) -> Tensor:
    """Return the maximum or mean of each window of ``x``; padding never enters a maximum nor a mean's count."""
    rank = len(window)
    x = channels_front(x, rank, data_format)
    pads = [(0, 0)] * rank if padding == "valid" else same_pads(x, window, strides, (1,) * rank)
    slide = _slide_max if mode == "max" else _slide_mean
    return channels_back(slide(x, window, strides, pads), rank, data_format)


def _slide_max(x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], pads: list[tuple[int, int]]) -> Tensor:
    maximum = _MAX[len(window)]
    if (inside := _inside(pads, strides)) is not None:
        return maximum(x, window, strides, inside, ceil_mode=not is_even(pads))
    return maximum(F.pad(x, flat_pads(pads), value=-math.inf), window, strides)


def _slide_mean(x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], pads: list[tuple[int, int]]) -> Tensor:
    mean = _MEAN[len(window)]
    inside = _inside(pads, strides)
    if inside is not None and not (len(window) == 3 and (any(inside) or not is_even(pads)) and _is_small(x, window)):
        return mean(x, window, strides, inside, ceil_mode=not is_even(pads), count_include_pad=False)
    share = F.pad(torch.ones_like(x[:1, :1]), flat_pads(pads))  # how much of each window is not padding
    return mean(F.pad(x, flat_pads(pads)), window, strides) / mean(share, window, strides)


def _is_small(x: Tensor, window: tuple[int, ...]) -> bool:
    """Return whether a window is, or may be, wider than what it slides over, which torch refuses in 3-D, padded or not."""
    spatial = sizes(x, len(window) + 2)[2:]
    return any(not isinstance(size, int) or size < wide for size, wide in zip(spatial, window, strict=True))


def _inside(pads: list[tuple[int, int]], strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the padding that torch's pooling itself can do, or None.

    Where one more is wanted behind than before, the last window reaches over the end, which torch's ``ceil_mode`` allows where
    the stride is above 1.
    """
    fits = (
        isinstance(before, int) and (before == after or stride > 1)
        for (before, after), stride in zip(pads, strides, strict=True)
    )
    return tuple(before for before, _ in pads) if all(fits) else None


_ADAPTIVE: dict[tuple[str, int], Callable[..., Tensor]] = {
    ("mean", 1): F.adaptive_avg_pool1d, ("mean", 2): F.adaptive_avg_pool2d, ("mean", 3): F.adaptive_avg_pool3d,
    ("max", 1): F.adaptive_max_pool1d, ("max", 2): F.adaptive_max_pool2d, ("max", 3): F.adaptive_max_pool3d,
}  # fmt: skip


def adaptive_pool(x: Tensor, mode: str, output_size: tuple[int, ...], data_format: str) -> Tensor:
    """Return the maximum or mean of ``output_size`` equal parts of each spatial axis."""
    rank = len(output_size)
    found = _ADAPTIVE[mode, rank](channels_front(x, rank, data_format), output_size)
    return channels_back(found, rank, data_format)


def global_pool(x: Tensor, mode: str, rank: int, data_format: str, keepdims: bool) -> Tensor:
    """Return the maximum or mean over all spatial axes: (B, …spatial, C) -> (B, C)."""
    axes = tuple(range(1, rank + 1)) if data_format == "channels_last" else tuple(range(2, rank + 2))
    return x.amax(axes, keepdim=keepdims) if mode == "max" else x.mean(axes, keepdim=keepdims)
