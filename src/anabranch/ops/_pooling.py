"""Pooling windows over any number of spatial axes, and pooling over all of them."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from anabranch.ops._convolution import channels_back, channels_front, flat_pads, is_even, pad_for, same_pads

_MAX = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pool(x: Any, mode: str, window: tuple[int, ...], strides: tuple[int, ...], padding: str, data_format: str) -> Any:
    """Return the maximum or mean of each window of ``x``; padding never enters a maximum nor a mean's count."""
    rank = len(window)
    x = channels_front(x, rank, data_format)
    if mode == "mean":
        x = _mean(x, window, strides, padding)
    else:
        x, _ = pad_for(x, window, strides, padding, (1,) * rank, value=-math.inf)
        x = _MAX[rank](x, window, strides)
    return channels_back(x, rank, data_format)


def _mean(x: Any, window: tuple[int, ...], strides: tuple[int, ...], padding: str) -> Any:
    average = _AVERAGE[len(window)]
    if padding == "valid":
        return average(x, window, strides)
    pads = same_pads(x, window, strides, (1,) * len(window))
    if is_even(pads):
        return average(x, window, strides, padding=tuple(before for before, _ in pads), count_include_pad=False)
    share = F.pad(torch.ones_like(x[:1, :1]), flat_pads(pads))  # how much of each window is not padding
    return average(F.pad(x, flat_pads(pads)), window, strides) / average(share, window, strides)


def global_pool(x: Any, mode: str, rank: int, data_format: str, keepdims: bool) -> Any:
    """Return the maximum or mean over all spatial axes: (B, …spatial, C) -> (B, C)."""
    axes = tuple(range(1, rank + 1)) if data_format == "channels_last" else tuple(range(2, rank + 2))
    return x.amax(axes, keepdim=keepdims) if mode == "max" else x.mean(axes, keepdim=keepdims)
