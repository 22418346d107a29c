"""Values in a few bits: integers with a scale, two 4-bit integers in a byte, float8; and back."""

from __future__ import annotations

import torch

from anabranch import runtime
from anabranch.graph import Weight
from anabranch.ops._kernels.shaping import embedding
from anabranch.ops._types import Tensor
from anabranch.runtime import native

FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def quantized(
    x: Tensor, axis: tuple[int, ...], limits: tuple[float, float], dtype: str, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return round(x · scale) within limits, and scale = the upper limit / max |x| over the axes, which get size 1."""
    scale = limits[1] / (x.abs().amax(axis, keepdim=True) + epsilon)
    return (x * scale).round().clamp(*limits).to(runtime.dtype_of(dtype)), scale


def quantized_in_blocks(
    x: Tensor, size: int, limits: tuple[int, int], dtype: str, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return x (I, O) as integers, and for each block of ``size`` rows a scale and a zero point (blocks, O).

    x ≈ (integers - zero point) · scale. Each block's range has 0 in it, so that 0 is exact.
    """
    rows, columns = x.shape
    count = (rows + size - 1) // size
    blocks = torch.nn.functional.pad(x, (0, 0, 0, count * size - rows)).reshape(count, size, columns)
    least, most = blocks.amin(1, keepdim=True).clamp(max=0), blocks.amax(1, keepdim=True).clamp(min=0)
    low, high = limits
    scale = (most - least + epsilon) / (high - low)
    zero = ((-least / scale).round() + low).clamp(low, high)
    found = ((blocks / scale).round() + zero).clamp(low, high).to(runtime.dtype_of(dtype))
    return found.reshape(count * size, columns)[:rows], scale[:, 0], zero[:, 0].to(torch.int8)


def packed(x: Tensor, axis: int, dtype: str) -> Tensor:
    """Return two 4-bit integers in each byte, the first of a pair in its lower half; an odd one has a 0 beside it."""
    first = x.movedim(axis, 0).to(torch.int32) & 15
    if first.shape[0] % 2:
        first = torch.cat([first, torch.zeros_like(first[:1])])
    both = first[::2] | (first[1::2] << 4)
    if dtype == "int8":
        both = (both ^ 128) - 128  # the byte as a signed one
    return both.to(runtime.dtype_of(dtype)).movedim(0, axis)


def unpacked(x: Tensor, size: int, axis: int, dtype: str) -> Tensor:
    """Return the ``size`` 4-bit integers of an axis, counted from the front, that bytes hold; ``"int8"``: with a sign."""
    first = axis if axis >= 0 else axis - 1  # of the two that become one
    both = torch.stack([x & 15, (x >> 4) & 15], first + 1)
    if dtype == "int8":
        both = (both ^ 8) - 8
    return both.flatten(first, first + 1).narrow(axis, 0, size).to(runtime.dtype_of(dtype))


def from_blocks(x: Tensor, scale: Tensor, zero: Tensor, block: Tensor, axis: int = 0) -> Tensor:
    """Return (x - zero) · scale of integers, each position of an axis with the scale and zero of the block that it is in."""
    block = block.to(torch.int32)
    scale = scale.index_select(axis, block)
    return (x - zero.index_select(axis, block).to(scale.dtype)) * scale


def rows_of_integers(
    ids: Tensor, table: Weight, scale: Weight, zero: Weight | None, block: Weight | None, width: int | None
) -> Tensor:
    """Return the floats that the rows of a table of integers stand for: (…) -> (…, D); of 4-bit ones ``width`` is D."""
    rows, index = embedding(ids, table), ids.long()
    scales = native(scale)[index]
    if width is not None:
        rows = unpacked(rows, width, -1, "int8")
    if zero is None or block is None:
        return rows / scales.unsqueeze(-1)
    return from_blocks(rows, scales, native(zero)[index], native(block), -1)


def passed(rounded: Tensor, x: Tensor) -> Tensor:
    """Return rounded values with the gradient of those that were not (Bengio et al. 2013, straight through)."""
    return rounded.detach() + (x - x.detach())


def fake_quantized(x: Tensor, least: Tensor, most: Tensor, bits: int, narrow: bool, wide: str) -> Tensor:
    """Return x rounded to the levels between two limits, which first move until 0 is a level; computed in the dtype ``wide``.

    The gradient goes to x within the limits, to a limit from what is at or beyond it (Jacob et al. 2018, §3).
    """
    kind = runtime.dtype_of(wide)
    low, high = least.to(kind), most.to(kind)
    first, last = int(narrow), 2**bits - 1
    scale, inverse = (high - low) / (last - first), (last - first) / (high - low)
    zero = (first - low / scale).clamp(first, last).round()
    bottom, top = ((first - zero) * scale).detach(), ((last - zero) * scale).detach()
    offset = (0.5 - bottom * inverse).floor()
    levels = ((x.to(kind).clamp(bottom, top) - bottom) * inverse - offset + 0.5).floor()
    found = (levels * scale).to(x.dtype).detach()
    nothing = runtime.create(torch.zeros, (), dtype=x.dtype, device=x.device)
    parts = (
        torch.where((x >= bottom) & (x <= top), x, nothing),
        torch.where(x <= bottom, least.to(x.dtype), nothing),
        torch.where(x >= top, most.to(x.dtype), nothing),
    )
    return found + sum((part - part.detach() for part in parts), nothing)


def float8_scale(amax: Tensor, scale: Tensor, greatest: float | Tensor, margin: int) -> Tensor:
    """Return the scale by which values up to ``amax`` fit float8 with some room; the old one where that says nothing."""
    return torch.where((amax > 0) & amax.isfinite(), amax / greatest * 2**margin, scale)


def with_greatest(x: Tensor, history: Tensor) -> Tensor:
    """Return a history of the greatest magnitudes, begun with that of x in the place of the oldest."""
    return torch.cat([x.abs().amax().to(history.dtype)[None], history.roll(-1)[1:]])


def through(x: Tensor, scale: Tensor, narrow: str, dtype: str) -> Tensor:
    """Return x as a narrow float of x / scale gives it back, in the type ``dtype``."""
    kind, small = runtime.dtype_of(dtype), FLOAT8[narrow]
    greatest = torch.finfo(small).max
    scale = scale.to(kind)
    return (x / scale).clamp(-greatest, greatest).to(small).to(kind) * scale
