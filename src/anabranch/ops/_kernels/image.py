"""Images in batches (B, H, W, C): draws, one for each image; mirrored, cropped, scaled up."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.convolution import channels_back, channels_front
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create


def drawn(x: Tensor, shape: tuple[int, ...], low: float, high: float, generator: torch.Generator | None = None) -> Tensor:
    """Return uniform draws from [low, high) for each image of a batch: (B, *shape)."""
    options: dict[str, torch.Generator] = {} if generator is None else {"generator": generator}
    return x.new_empty((x.shape[0], *shape), dtype=torch.float32).uniform_(low, high, **options)


def normal(x: Tensor, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Return normal draws of a shape, on the device of ``x``."""
    options: dict[str, torch.Generator] = {} if generator is None else {"generator": generator}
    return x.new_empty(shape, dtype=torch.float32).normal_(0.0, 1.0, **options)


def mirrored(x: Tensor, chosen: Tensor, axis: int) -> Tensor:
    """Return the chosen images mirrored along an axis."""
    return torch.where(chosen.reshape(-1, 1, 1, 1), x.flip(axis), x)


def start_drawn(x: Tensor, axis: int, length: int, generator: torch.Generator | None = None) -> Tensor:
    """Return for each image where a window of ``length`` along an axis begins."""
    starts = x.shape[axis] - length + 1
    draw = drawn(x, (), 0.0, 1.0, generator) * starts
    return draw.long().clamp(max=starts - 1)


def cropped_at(x: Tensor, size: tuple[int, int], tops: Tensor, lefts: Tensor) -> Tensor:
    """Return a window of each image (B, H, W, C) that begins at a place of its own."""
    windows = x.unfold(1, size[0], 1).unfold(2, size[1], 1)  # all windows, as a view
    image = create(torch.arange, x.shape[0], device=x.device)
    return windows[image, tops, lefts].permute(0, 2, 3, 1)  # (B, C, h, w) -> (B, h, w, C)


def cropped(x: Tensor, size: tuple[int, int], top: int, left: int) -> Tensor:
    """Return the same window of all images (B, H, W, C)."""
    return x.narrow(1, top, size[0]).narrow(2, left, size[1])


def as_dtype_of(x: Tensor, like: Tensor) -> Tensor:
    """Return ``x`` in the dtype of another tensor."""
    return x.to(like.dtype)


def upsample(x: Tensor, size: tuple[int, ...], interpolation: str, data_format: str) -> Tensor:
    """Return ``x`` with each spatial axis ``size`` times as long."""
    rank = len(size)
    if interpolation == "nearest":
        first = 1 if data_format == "channels_last" else 2
        for axis, times in enumerate(size):
            x = x.repeat_interleave(times, dim=first + axis) if times > 1 else x
        return x
    x = channels_front(x, rank, data_format)
    x = F.interpolate(x, scale_factor=[float(s) for s in size], mode=interpolation, align_corners=False)
    return channels_back(x, rank, data_format)
