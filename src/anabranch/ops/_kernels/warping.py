"""Arrays read at fractional positions: between elements, and beyond the border; where maps of the plane read an image."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.filtering import blurred, filtered, gaussian
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create, dtype_of

_sym_max: Callable[[int, int], int] = torch.sym_max


class Sampling(NamedTuple):
    """How to read between pixels and beyond the border, and the images' dtype."""

    fill_mode: str
    interpolation: str
    fill_value: float
    dtype: str


# names of what is beyond the border, in torch's words; "wrap" is made by repeating the first row and column
_BEYOND = {"reflect": "reflection", "nearest": "border", "constant": "zeros", "wrap": "border"}


def read_at(
    x: Tensor, places: Sequence[Tensor], lengths: Sequence[int], order: int, fill_mode: str, fill_value: float,
    first: tuple[Tensor, ...] = (), *, channels: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``x`` at fractional places along its axes, after those that ``first`` picks; ``channels``: one more follows."""
    corners = [_corners(place, order) for place in places]
    total: Tensor | None = None
    for chosen in itertools.product(*corners):
        index = [_inside(each, length, fill_mode) for (each, _), length in zip(chosen, lengths, strict=True)]
        part = x[(*first, *index)]
        if fill_mode == "constant":
            known = [(each >= 0) & (each < length) for (each, _), length in zip(chosen, lengths, strict=True)]
            within = functools.reduce(operator.and_, known)
            part = torch.where(within.unsqueeze(-1) if channels else within, part, fill_value)
        if order:
            weight = functools.reduce(operator.mul, [each for _, each in chosen])
            part = part * (weight.unsqueeze(-1) if channels else weight)
        total = part if total is None else total + part
    return x if total is None else total


def _corners(place: Tensor, order: int) -> list[tuple[Tensor, Tensor]]:
    """Return the elements around a place along one axis, with their weights."""
    lower = place.floor() if order else place.round()
    fraction = place - lower
    index = lower.long()
    return [(index, 1 - fraction), (index + 1, fraction)] if order else [(index, fraction)]


def _inside(index: Tensor, length: int, fill_mode: str) -> Tensor:
    """Return indices of an axis in the place of those beyond its ends."""
    if fill_mode == "wrap":
        return index.remainder(length)
    if fill_mode == "mirror":
        return _mirrored(index, length)
    if fill_mode == "reflect":
        return mirrored_index(index, length)
    return index.clamp(min=0).clamp(max=length - 1)


def mirrored_index(index: Tensor, length: int) -> Tensor:
    """Return indices of an axis that is mirrored at its borders: d c b a | a b c d."""
    return (_mirrored(2 * index + 1, 2 * length + 1) - 1).div(2, rounding_mode="floor")


def _mirrored(index: Tensor, length: int) -> Tensor:
    last = length - 1
    return ((index + last).remainder(_sym_max(2 * last, 1)) - last).abs()


def sampled(x: Tensor, rows: Tensor, columns: Tensor, how: Sampling, lengths: tuple[int, ...]) -> Tensor:
    """Return images (B, H, W, C), of sizes ``lengths``, read at pixels that broadcast to (B, H', W')."""
    batch, height, width, _ = lengths
    if "float" not in how.dtype or how.interpolation == "nearest" or how.fill_mode == "mirror":  # by indices, exactly
        image = create(torch.arange, batch, device=x.device).reshape(-1, 1, 1)
        order = int(how.interpolation == "bilinear")
        return read_at(x, (rows, columns), (height, width), order, how.fill_mode, how.fill_value, (image,), channels=True)
    return sampled_by_fractions(x, (2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1, how, (height, width), batch)


def sampled_by_fractions(
    x: Tensor, u: Tensor, v: Tensor, how: Sampling, lengths: tuple[int, int], batch: int | None = None
) -> Tensor:
    """Return floats (B, H, W, C) read at places from -1 to 1, from border to border, that broadcast to (B, H', W')."""
    mode, interpolation, fill, dtype = how
    height, width = lengths
    wide = dtype_of("float32" if "16" in dtype else dtype)  # places need the digits
    images = x.permute(0, 3, 1, 2).to(wide)
    if mode == "wrap":
        u, v = _wrapped(u, width), _wrapped(v, height)
        images = torch.cat((images, images[:, :, :1]), 2)
        images = torch.cat((images, images[:, :, :, :1]), 3)
    if mode == "constant" and fill:
        images = images - fill
    places = torch.broadcast_tensors(u, v)  # type: ignore[no-untyped-call]  # torch's own
    grid = torch.stack((places[0], places[1]), -1).to(wide)
    grid = grid if batch is None else create(torch.broadcast_to, grid, (batch, -1, -1, -1))
    read = F.grid_sample(images, grid, mode=interpolation, padding_mode=_BEYOND[mode], align_corners=False)
    if mode == "constant" and fill:
        read = read + fill
    return read.permute(0, 2, 3, 1).to(dtype_of(dtype))


def _wrapped(place: Tensor, size: int) -> Tensor:
    """Return places on an image that repeats itself, as places on one that is longer by its first row or column."""
    pixel = (((place + 1) * size - 1) / 2).remainder(size)
    return (2 * pixel + 1) / (size + 1) - 1


def pixels(x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the rows (1, H, 1) and the columns (1, 1, W) of images, in the dtype and on the device of ``x``."""
    rows, columns = (create(torch.arange, size, dtype=x.dtype, device=x.device) for size in (height, width))
    return rows.reshape(1, -1, 1), columns.reshape(1, 1, -1)


def projected(x: Tensor, maps: Tensor, how: Sampling, lengths: tuple[int, ...], kind: str = "perspective") -> Tensor:
    """Return images read at (a₀x + a₁y + a₂, b₀x + b₁y + b₂) / (c₀x + c₁y + 1): maps (B, 8), or (1, 8) for all of them.

    ``kind``: "scaling" where only a₀, a₂, b₁ and b₂ count, "affine" where c₀ and c₁ are 0.
    """
    rows, columns = pixels(maps, lengths[1], lengths[2])
    a0, a1, a2, b0, b1, b2, c0, c1 = (maps[:, place].reshape(-1, 1, 1) for place in range(8))
    if kind == "scaling":
        return sampled(x, b1 * rows + b2, a0 * columns + a2, how, lengths)
    across, down = a0 * columns + a1 * rows + a2, b0 * columns + b1 * rows + b2
    if kind == "perspective":
        below = c0 * columns + c1 * rows + 1
        across, down = across / below, down / below
    return sampled(x, down, across, how, lengths)


def scaling(by: Tensor, shift: Tensor) -> Tensor:
    """Return maps (B, 8) of factors (B, 2) and shifts (B, 2), each of columns and of rows."""
    zero = torch.zeros_like(by[:, :1])
    return torch.cat((by[:, :1], zero, shift[:, :1], zero, by[:, 1:], shift[:, 1:], zero, zero), 1)


def zooming(wide: Tensor, tall: Tensor, height: int, width: int) -> Tensor:
    """Return maps that scale by factors (B, 1) about the middle."""
    by = torch.cat((wide, tall), 1)
    middle = torch.stack([(torch.ones_like(by[:, 0]) * size - 1) / 2 for size in (width, height)], 1)
    return scaling(by, middle * (1 - by))


def shifting(by: Tensor) -> Tensor:
    """Return maps that move images by (B, 2) pixels, right and down."""
    return scaling(torch.ones_like(by), -by)


def turning(degrees: Tensor, height: int, width: int) -> Tensor:
    """Return maps that turn images about their middle by angles (B,), counter-clockwise."""
    angle = degrees * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    across, down = (width - 1) / 2, (height - 1) / 2
    a2, b2 = across - across * cos + down * sin, down - across * sin - down * cos
    return torch.stack((cos, -sin, a2, sin, cos, b2, zero, zero), 1)


def shearing(by: Tensor) -> Tensor:
    """Return maps that shear images by (B, 2), along columns and along rows."""
    one, zero = torch.ones_like(by[:, 0]), torch.zeros_like(by[:, 0])
    return torch.stack((one, by[:, 0], zero, by[:, 1], one, zero, zero, zero), 1)


def homography(start: Tensor, end: Tensor) -> Tensor:
    """Return the maps (B, 8) that lead from each of four points ``end`` (B, 4, 2) to where it came from, ``start``."""
    (from_x, from_y), (to_x, to_y) = ((points[..., 0], points[..., 1]) for points in (start, end))
    one, zero = torch.ones_like(to_x), torch.zeros_like(to_x)
    across = torch.stack((to_x, to_y, one, zero, zero, zero, -from_x * to_x, -from_x * to_y), -1)
    down = torch.stack((zero, zero, zero, to_x, to_y, one, -from_y * to_x, -from_y * to_y), -1)
    equations = torch.stack((across, down), 2).flatten(1, 2)
    return torch.linalg.solve(equations, start.flatten(1).unsqueeze(-1)).squeeze(-1)


def corner_points(x: Tensor, height: int, width: int) -> Tensor:
    """Return (x, y) of the corners of images for each row of ``x``: (B, 4, 2)."""
    zero = torch.zeros_like(x[..., 0])
    right, bottom = zero + (width - 1), zero + (height - 1)
    points = ((zero, zero), (right, zero), (zero, bottom), (right, bottom))
    return torch.stack([torch.stack(point, -1) for point in points], 1)


def elastic(noise: Tensor, alpha: float | Tensor, sigma: float, lengths: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the rows and columns that an elastic distortion reads, of normal noise (B, H, W, 2)."""
    window = gaussian(noise, int(6 * sigma) | 1, sigma)
    moved = filtered(noise, window, window, "channels_last") * (alpha * sigma)
    rows, columns = pixels(noise, *lengths)
    return rows + moved[..., 1], columns + moved[..., 0]


def bent(noise: Tensor, alpha: Tensor, sigma: Tensor, window: int, lengths: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return what ``elastic`` does where each image has factors of its own (B,), and all one size of the window."""
    spread = sigma.clamp(min=1e-3)
    moved = blurred(noise, (window, window), torch.stack((spread, spread), -1)) * (alpha * sigma).reshape(-1, 1, 1, 1)
    rows, columns = pixels(noise, *lengths)
    return rows + moved[..., 1], columns + moved[..., 0]


def number_like(x: Tensor, value: float) -> Tensor:
    """Return a number as a tensor without axes, in the dtype and on the device of ``x``."""
    return create(torch.full, (), value, dtype=x.dtype, device=x.device)


def resampling(length: int, result: int, scale: Tensor, shift: Tensor, method: str, *, antialias: bool) -> Tensor:
    """Return the weights (length, result) with which positions of an axis make those of a scaled one."""
    backward = 1 / scale
    kind = {"dtype": scale.dtype, "device": scale.device}
    reads = (create(torch.arange, result, **kind) + 0.5) * backward - shift * backward - 0.5
    distance = (reads.reshape(1, -1) - create(torch.arange, length, **kind).reshape(-1, 1)).abs()
    weights = _WINDOWS[method](distance / backward.clamp(min=1) if antialias else distance)
    total = weights.sum(0, keepdim=True)
    weights = torch.where(total.abs() > 1000 * torch.finfo(torch.float32).eps, weights / torch.where(total != 0, total, 1), 0)
    return torch.where(((reads >= -0.5) & (reads <= length - 0.5)).reshape(1, -1), weights, 0)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Return Keys's kernel (Keys 1981, eq. 15)."""
    near, far = ((1.5 * x - 2.5) * x) * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x >= 2, 0, torch.where(x >= 1, far, near))


def _lanczos(radius: int, x: Tensor) -> Tensor:
    waves = radius * (math.pi * x).sin() * (math.pi * x / radius).sin()
    inner = torch.where(x > 1e-3, waves / torch.where(x != 0, math.pi**2 * x**2, 1), 1)
    return torch.where(x > radius, 0, inner)


_WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _triangle, "cubic": _cubic,
    "lanczos3": functools.partial(_lanczos, 3), "lanczos5": functools.partial(_lanczos, 5),
}  # fmt: skip
