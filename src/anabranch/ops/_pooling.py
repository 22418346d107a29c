"""Pooling windows over any number of spatial axes, and pooling over all of them."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from anabranch.ops._convolution import channels_back, channels_front, pad_for

_MAX = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pool(x: Any, mode: str, window: tuple[int, ...], strides: tuple[int, ...], padding: str, data_format: str) -> Any:
    """Return the maximum or mean of each window of ``x``; padding never enters a maximum nor a mean's count."""
    rank = len(window)
    x = channels_front(x, rank, data_format)
    ones = (1,) * rank
    if mode == "max":
        x, _ = pad_for(x, window, strides, padding, ones, value=-math.inf)
        x = _MAX[rank](x, window, strides)
    elif padding == "valid":
        x = _AVERAGE[rank](x, window, strides)
    else:
        padded, even = pad_for(x, window, strides, padding, ones)
        counted, _ = pad_for(torch.ones_like(x), window, strides, padding, ones)
        sums = _AVERAGE[rank](padded, window, strides, padding=even)
        x = sums / _AVERAGE[rank](counted, window, strides, padding=even)
    return channels_back(x, rank, data_format)


def global_pool(x: Any, mode: str, rank: int, data_format: str, keepdims: bool) -> Any:
    """Return the maximum or mean over all spatial axes: (B, …spatial, C) -> (B, C)."""
    axes = tuple(range(1, rank + 1)) if data_format == "channels_last" else tuple(range(2, rank + 2))
    return x.amax(axes, keepdim=keepdims) if mode == "max" else x.mean(axes, keepdim=keepdims)
