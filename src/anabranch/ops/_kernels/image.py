"""Images in batches (B, H, W, C): random flips, crops, shifts, turns, each image its own; scaling up.

Where an image is to be read at ``(u, v)``, both are in [-1, 1], from border to border
as in ``grid_sample`` without aligned corners.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.convolution import channels_back, channels_front
from anabranch.ops._kernels.warping import Sampling, sampled_by_fractions
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create, shape_of

Range = tuple[float, float]


def per_image(x: Tensor, low: float, high: float, generator: torch.Generator | None = None) -> Tensor:
    """Return one uniform draw from [low, high) for each image: (B, 1, 1)."""
    options: dict[str, torch.Generator] = {} if generator is None else {"generator": generator}
    return x.new_empty((x.shape[0], 1, 1), dtype=torch.float32).uniform_(low, high, **options)


def random_flip(x: Tensor, axes: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Return each image mirrored along each of ``axes`` with probability 1/2."""
    for axis in axes:
        chosen = per_image(x, 0.0, 1.0, generator).unsqueeze(-1) < 0.5
        x = torch.where(chosen, x.flip(axis), x)
    return x


def random_crop(x: Tensor, size: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
    """Return a window of ``size`` at a random place of each image."""
    windows, places = x, [create(torch.arange, x.shape[0], device=x.device)]
    for axis, length in enumerate(size):
        windows = windows.unfold(axis + 1, length, 1)  # all windows, as a view
        draw = per_image(x, 0.0, 1.0, generator).flatten() * windows.shape[axis + 1]
        places.append(draw.long().clamp(max=windows.shape[axis + 1] - 1))
    return windows[tuple(places)].permute(0, 2, 3, 1)  # (B, C, h, w) -> (B, h, w, C)


def middle(x: Tensor, size: tuple[int, int], first: int) -> Tensor:
    """Return the window of ``size`` in the middle of each image; the spatial axes begin at ``first``."""
    known = shape_of(x) or (None,) * 4
    for axis, length in enumerate(size, first):
        whole = known[axis]
        x = x.narrow(axis, ((x.shape[axis] if whole is None else whole) - length) // 2, length)
    return x


def random_translation(
    x: Tensor, height: Range, width: Range, sampling: Sampling, generator: torch.Generator | None = None
) -> Tensor:
    """Return each image shifted down and right by shares of its height and width, drawn from the ranges."""
    down, right = per_image(x, *height, generator), per_image(x, *width, generator)
    u, v = _places(x)
    return _read(x, u - 2 * right, v - 2 * down, sampling)


def random_rotation(x: Tensor, turns: Range, sampling: Sampling, generator: torch.Generator | None = None) -> Tensor:
    """Return each image turned about its middle, by a share of a full turn drawn from the range."""
    angle = per_image(x, *turns, generator) * (2 * math.pi)
    u, v = _places(x)
    cos, sin, ratio = angle.cos(), angle.sin(), x.shape[1] / x.shape[2]
    return _read(x, cos * u - sin * ratio * v, sin / ratio * u + cos * v, sampling)


def random_zoom(
    x: Tensor, height: Range, width: Range | None, sampling: Sampling, generator: torch.Generator | None = None
) -> Tensor:
    """Return each image drawn away by 1 + a share from the range; without ``width`` the ratio of the sides stays."""
    tall = per_image(x, 1 + height[0], 1 + height[1], generator)
    wide = tall if width is None else per_image(x, 1 + width[0], 1 + width[1], generator)
    u, v = _places(x)
    return _read(x, wide * u, tall * v, sampling)


def random_contrast(x: Tensor, factor: Range, values: Range, generator: torch.Generator | None = None) -> Tensor:
    """Return each image's distance from its channels' means scaled by a draw from ``factor``, cut to ``values``."""
    mean = x.mean((1, 2), keepdim=True)
    share = per_image(x, *factor, generator).unsqueeze(-1).to(x.dtype)
    return ((x - mean) * share + mean).clamp(*values)


def random_brightness(x: Tensor, factor: Range, values: Range, generator: torch.Generator | None = None) -> Tensor:
    """Return each image with a share of the range of ``values`` added, cut to ``values``."""
    share = per_image(x, *factor, generator).unsqueeze(-1).to(x.dtype)
    return (x + share * (values[1] - values[0])).clamp(*values)


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the position of each pixel of (B, H, W, C): u (1, 1, W) and v (1, H, 1)."""
    v, u = ((create(torch.arange, x.shape[axis], device=x.device) * 2 + 1) / x.shape[axis] - 1 for axis in (1, 2))
    return u.reshape(1, 1, -1), v.reshape(1, -1, 1)


def _read(x: Tensor, u: Tensor, v: Tensor, sampling: Sampling) -> Tensor:
    """Return ``x`` read at places u, v, which broadcast to (B, H, W)."""
    return sampled_by_fractions(x, u, v, sampling, (x.shape[1], x.shape[2]))


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
