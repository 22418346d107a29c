"""Images in batches (B, H, W, C): random flips, crops and shifts, each image its own; scaling up."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from anabranch.ops._convolution import channels_back, channels_front


def to_float(x: Any, dtype: torch.dtype) -> Any:
    """Return ``x`` as floats."""
    return x.to(dtype)


def per_image(x: Any, low: float, high: float, generator: torch.Generator | None = None) -> Any:
    """Return one uniform draw from [low, high) for each image: (B,)."""
    options = {} if generator is None else {"generator": generator}
    return x.new_empty((x.shape[0],), dtype=torch.float32).uniform_(low, high, **options)


def generator(seed: int) -> torch.Generator:
    """Return a generator of its own for a layer that was given a seed."""
    return torch.Generator().manual_seed(seed)


def random_flip(x: Any, axes: tuple[int, ...], generator: torch.Generator | None = None) -> Any:
    """Return each image mirrored along each of ``axes`` with probability 1/2."""
    for axis in axes:
        chosen = per_image(x, 0.0, 1.0, generator).reshape(-1, 1, 1, 1) < 0.5
        x = torch.where(chosen, x.flip(axis), x)
    return x


def random_crop(x: Any, spatial: tuple[int, int], size: tuple[int, int], generator: torch.Generator | None = None) -> Any:
    """Return a window of ``size`` at a random place of each image."""
    for axis, (whole, part) in enumerate(zip(spatial, size, strict=True)):
        start = per_image(x, 0.0, whole - part + 1, generator).floor().long().clamp(max=whole - part)
        x = take_along(x, axis + 1, start[:, None] + torch.arange(part, device=x.device))
    return x


def take_along(x: Any, axis: int, index: Any) -> Any:
    """Return ``x`` (B, …) with positions ``index`` (B, n) taken along ``axis``, for each image its own."""
    images = (torch.ones_like(index[:, :1]).cumsum(0) - 1).expand_as(index)
    return x.transpose(1, axis)[images, index].transpose(1, axis)


def random_translation(
    x: Any,
    spatial: tuple[int, int],
    height: tuple[float, float],
    width: tuple[float, float],
    fill_mode: str,
    interpolation: str,
    fill_value: float,
    generator: torch.Generator | None = None,
) -> Any:
    """Return each image shifted by its own share of height and width, drawn from the ranges."""
    down = per_image(x, *height, generator) * spatial[0] if height != (0.0, 0.0) else None
    right = per_image(x, *width, generator) * spatial[1] if width != (0.0, 0.0) else None
    for axis, shift in ((1, down), (2, right)):
        if shift is not None:
            x = translate(x, axis, spatial[axis - 1], shift, fill_mode, interpolation, fill_value)
    return x


def translate(x: Any, axis: int, size: int, shift: Any, fill_mode: str, interpolation: str, fill_value: float) -> Any:
    """Return ``x`` shifted along ``axis`` by ``shift`` (B,) positions, the gap filled by ``fill_mode``."""
    source = torch.arange(size, device=x.device) - shift[:, None]
    if interpolation == "nearest":
        return _sample(x, axis, size, source.round(), fill_mode, fill_value)
    before = source.floor()
    share = (source - before).to(x.dtype)
    share = share[:, :, None, None] if axis == 1 else share[:, None, :, None]
    first = _sample(x, axis, size, before, fill_mode, fill_value)
    return first + share * (_sample(x, axis, size, before + 1, fill_mode, fill_value) - first)


def _sample(x: Any, axis: int, size: int, position: Any, fill_mode: str, fill_value: float) -> Any:
    position = position.long()
    if fill_mode == "reflect":  # d c b a | a b c d | d c b a
        position = position.remainder(2 * size)
        position = torch.minimum(position, 2 * size - 1 - position)
    elif fill_mode == "wrap":
        position = position.remainder(size)
    taken = take_along(x, axis, position.clamp(0, size - 1))
    if fill_mode != "constant":
        return taken
    inside = (position >= 0) & (position < size)
    inside = inside[:, :, None, None] if axis == 1 else inside[:, None, :, None]
    return torch.where(inside, taken, fill_value)


def upsample(x: Any, size: tuple[int, ...], interpolation: str, data_format: str) -> Any:
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
