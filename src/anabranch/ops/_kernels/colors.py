"""Colours along an axis of three: grey, and hue, saturation, value (Smith 1978)."""

from __future__ import annotations

import torch

from anabranch.ops._types import Tensor


def grey(x: Tensor, axis: int) -> Tensor:
    """Return the luma of red, green and blue (ITU-R BT.601) as an axis of one."""
    red, green, blue = (x.narrow(axis, channel, 1) for channel in range(3))
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def rgb_to_hsv(x: Tensor, axis: int, epsilon: float) -> Tensor:
    """Return hue, saturation and value of colours in [0, 1]; those below ``epsilon`` count as 0."""
    x = torch.where(x.abs() < epsilon, 0.0, x)
    red, green, blue = (x.select(axis, channel) for channel in range(3))
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    step = 1.0 / (6.0 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, step * (blue - red) + 2 / 6, step * (red - green) + 4 / 6)
    hue = torch.where(value == red, step * (green - blue), hue)
    hue = torch.where(spread > 0, hue, 0.0)
    return torch.stack((torch.where(hue < 0, hue + 1, hue), saturation, value), axis)


def hsv_to_rgb(x: Tensor, axis: int) -> Tensor:
    """Return red, green and blue of hue, saturation and value."""
    hue, saturation, value = (x.select(axis, channel) for channel in range(3))
    sector = hue.remainder(1.0) * 6.0
    pure = ((sector - 3).abs() - 1, 2 - (sector - 2).abs(), 2 - (sector - 4).abs())
    return torch.stack([value * (1 - saturation + saturation * part.clamp(0, 1)) for part in pure], axis)
