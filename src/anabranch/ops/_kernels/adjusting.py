"""Colors of images (B, H, W, C) adjusted by factors of each image."""

from __future__ import annotations

import torch

from anabranch.ops._kernels.colors import grey, hsv_to_rgb, rgb_to_hsv
from anabranch.ops._kernels.filtering import filtered, weights_like
from anabranch.ops._kernels.warping import mirrored_index, pixels
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create, dtype_of

Range = tuple[float, float]


def contrasted(x: Tensor, factor: Tensor, values: Range) -> Tensor:
    """Return each image's distance from its channels' means scaled by a factor, cut to ``values``."""
    mean = x.mean((1, 2), keepdim=True)
    return ((x - mean) * factor.to(x.dtype) + mean).clamp(*values)


def brightened(x: Tensor, by: Tensor, values: Range) -> Tensor:
    """Return images plus an amount of each, cut to ``values``."""
    return (x + by.to(x.dtype)).clamp(*values)


def rescaled(x: Tensor, source: Range, target: Range) -> Tensor:
    """Return values of one range as those of another."""
    if tuple(source) == tuple(target):
        return x
    return (x - source[0]) / (source[1] - source[0]) * (target[1] - target[0]) + target[0]


def cut(x: Tensor, values: Range) -> Tensor:
    """Return values cut to a range."""
    return x.clamp(*values)


def chosen(x: Tensor, which: Tensor, changed: Tensor) -> Tensor:
    """Return the images that are chosen changed, the others as they are."""
    return torch.where(which.reshape(-1, 1, 1, 1), changed, x)


def beside_images(weight: Tensor, x: Tensor) -> Tensor:
    """Return a weight of each image, or of all, that broadcasts with (B, H, W, C)."""
    return weight.to(x.dtype).reshape(-1, 1, 1, 1)


def signs(draw: Tensor) -> Tensor:
    """Return -1 where a draw from [0, 1) is above a half, else 1."""
    return torch.where(draw > 0.5, -1.0, 1.0)


def hue_shifted(x: Tensor, by: Tensor, dtype: str) -> Tensor:
    """Return colors in [0, 1] with another hue."""
    hsv = rgb_to_hsv(x, 3, torch.finfo(dtype_of(dtype)).eps)
    hue = hsv[..., 0] + by.to(x.dtype).reshape(-1, 1, 1)
    hue = torch.where(hue > 1, hue - 1, hue)
    hue = torch.where(hue < 0, hue + 1, hue)
    return hsv_to_rgb(torch.stack((hue, hsv[..., 1], hsv[..., 2]), -1), 3).clamp(0, 1)


def saturated(x: Tensor, by: Tensor, dtype: str) -> Tensor:
    """Return colors with their saturation scaled."""
    hsv = rgb_to_hsv(x, 3, torch.finfo(dtype_of(dtype)).eps)
    saturation = (hsv[..., 1] * by.to(x.dtype).reshape(-1, 1, 1)).clamp(0, 1)
    return hsv_to_rgb(torch.stack((hsv[..., 0], saturation, hsv[..., 2]), -1), 3)


def greyed(x: Tensor, by: Tensor) -> Tensor:
    """Return images moved toward their greys by a fraction of each."""
    return x + by.to(x.dtype).reshape(-1, 1, 1, 1) * (grey(x, 3) - x)


def posterized(x: Tensor, shift: Tensor) -> Tensor:
    """Return values from 0 to 255 without their last bits, of which ``shift`` says how many."""
    by = shift.to(torch.uint8).reshape(-1, 1, 1, 1)
    whole = x.clamp(0, 255).to(torch.uint8)
    return torch.bitwise_left_shift(torch.bitwise_right_shift(whole, by), by).to(x.dtype)


def solarized(x: Tensor, additions: Tensor, thresholds: Tensor) -> Tensor:
    """Return values from 0 to 255, after an addition, inverted where they reach a threshold."""
    found = (x + additions.to(x.dtype).reshape(-1, 1, 1, 1)).clamp(0, 255)
    return torch.where(found < thresholds.to(x.dtype).reshape(-1, 1, 1, 1), found, 255 - found)


def sharpened(x: Tensor, factor: Tensor) -> Tensor:
    """Return images between smoothed (factor 0), themselves (1/2) and sharpened ones (1)."""
    ones = weights_like(x, (1.0, 1.0, 1.0))
    smooth = filtered(x, ones, ones, "channels_last") / 13 + x * (4 / 13)
    return x + (1 - 2 * factor.to(x.dtype).reshape(-1, 1, 1, 1)) * (smooth - x)


def stretched(x: Tensor, values: Range) -> Tensor:
    """Return each channel of each image stretched to the whole range of values; channels of one value stay."""
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    found = ((x - low) / (high - low) * (values[1] - values[0]) + values[0]).clamp(*values)  # no quotient beyond half floats
    return torch.where(high > low, found, x)


def equalized(x: Tensor, bins: int, lengths: tuple[int, ...]) -> Tensor:
    """Return values from 0 to 255 of each channel of each image so that all are about equally frequent."""
    batch, height, width, channels = lengths
    planes = x.permute(0, 3, 1, 2).flatten(2)
    place = (planes.float() * (bins - 1) / 255).long().clamp(0, bins - 1)  # half floats would cross the borders of bins
    counts = create(torch.zeros, (batch, channels, bins), dtype=torch.int64, device=x.device)
    counts = counts.scatter_add(2, place, torch.ones_like(place))
    total = counts.cumsum(2)
    first = torch.where(total > 0, total, total[..., -1:]).amin(2, keepdim=True)
    table = ((total - first) * 255 / (total[..., -1:] - first).clamp(min=1)).round().clamp(0, 255)
    found = table.gather(2, (planes / 255 * (bins - 1)).clamp(0, bins - 1).long()).to(x.dtype)
    found = torch.where((counts > 0).sum(2, keepdim=True) > 1, found, planes)
    return found.reshape(batch, channels, height, width).permute(0, 2, 3, 1)


def equalized_by_tiles(x: Tensor, grid: tuple[int, int], limit: float, lengths: tuple[int, ...]) -> Tensor:
    """Return values from 0 to 255 equalized by the histograms of the tiles around each pixel (Zuiderveld 1994)."""
    batch, height, width, channels = lengths
    rows, columns = grid
    tall, wide = (height + rows - 1) // rows, (width + columns - 1) // columns
    down = mirrored_index(create(torch.arange, tall * rows, device=x.device), height)
    across = mirrored_index(create(torch.arange, wide * columns, device=x.device), width)
    padded = x.index_select(1, down).index_select(2, across)
    values = padded.to(torch.int32).clamp(0, 255).long()
    tiles = values.reshape(batch, rows, tall, columns, wide, channels).permute(0, 1, 3, 5, 2, 4).flatten(4)
    counts = create(torch.zeros, (batch, rows, columns, channels, 256), dtype=torch.float32, device=x.device)
    counts = counts.scatter_add(4, tiles, torch.ones_like(tiles, dtype=torch.float32))
    if limit > 0:
        cut = counts.clamp(max=1.0 * limit * (tall * wide) / 256)
        counts = cut + (counts - cut).sum(-1, keepdim=True) / 256
    total = counts.cumsum(-1)
    first = total.amin(-1, keepdim=True)
    whole = tall * wide - first
    table = ((total - first) * 255 / torch.where(whole == 0, 1, whole)).clamp(0, 255)
    (top, bottom, below), (left, right, beside) = _tiles_around(x, tall, rows), _tiles_around(x, wide, columns)
    image = create(torch.arange, batch, device=x.device).reshape(-1, 1, 1, 1)
    channel = create(torch.arange, channels, device=x.device)

    def read(y: Tensor, z: Tensor) -> Tensor:
        return table[image, y.reshape(1, -1, 1, 1), z.reshape(1, 1, -1, 1), channel, values]

    across, down = beside.reshape(1, 1, -1, 1), below.reshape(1, -1, 1, 1)
    above = read(top, left) * (1 - across) + read(top, right) * across
    under = read(bottom, left) * (1 - across) + read(bottom, right) * across
    return (above * (1 - down) + under * down)[:, :height, :width]


def _tiles_around(x: Tensor, length: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tiles before and after each position along an axis, and how near it is to the latter."""
    place = create(torch.arange, length * count, dtype=torch.float32, device=x.device)
    place = (place - length / 2) / length
    before = place.floor()
    return before.long().clamp(0, count - 1), (before + 1).long().clamp(0, count - 1), place - before


def erased(x: Tensor, where: Tensor, value: Tensor) -> Tensor:
    """Return images with another value in some places."""
    return torch.where(where, value.to(x.dtype), x)


def rectangles(starts: tuple[Tensor, Tensor], ends: tuple[Tensor, Tensor], height: int, width: int) -> Tensor:
    """Return which pixels (B, H, W) are in rectangles, given by (columns, rows) of their starts and ends (B,)."""
    rows, columns = pixels(starts[0], height, width)
    (left, top), (right, bottom) = ([each.reshape(-1, 1, 1) for each in pair] for pair in (starts, ends))
    return (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
