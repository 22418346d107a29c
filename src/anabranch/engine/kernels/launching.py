"""What all kernels share: images and matrices as rows of channels, and by which rule these are cut into tiles.

Sizes are chosen by rules and not by trying, as nothing may be tried while a CUDA graph is captured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
import triton
import triton.language as tl

from anabranch.engine.kernels.limits import DTYPES

Context: TypeAlias = Any
"""What torch gives an operator to keep things in for its gradient."""

ELEMENTS = 2048
"""Elements of a tile: 16 for each thread of four warps, loaded by 16 bytes at a time."""
WIDEST = 128
"""Channels of a tile at most."""
PROGRAMS = 1024
"""How many programs share a sum at most: some for each of a large GPU's 132 processors, few beside the rows of each."""


class Tiles(NamedTuple):
    """Into which tiles rows of channels are cut, and how many of them are a strip, which one program adds up.

    That is a power of two, as it is a constant of the kernel, which is compiled for each.
    """

    rows: int
    channels: int
    block_rows: int
    block_channels: int
    strip_tiles: int

    @classmethod
    def of(cls, rows: int, channels: int) -> Tiles:
        """Return the tiles for a size."""
        wide = min(triton.next_power_of_2(channels), WIDEST)
        high = ELEMENTS // wide
        strips = max(1, PROGRAMS // triton.cdiv(channels, wide))
        return cls(rows, channels, high, wide, triton.next_power_of_2(triton.cdiv(triton.cdiv(rows, high), strips)))

    @property
    def grid(self) -> tuple[int, int]:
        """One program for each tile."""
        return triton.cdiv(self.rows, self.block_rows), triton.cdiv(self.channels, self.block_channels)

    @property
    def strips(self) -> tuple[int, int]:
        """One program for each strip of rows and block of channels."""
        return triton.cdiv(self.rows, self.strip_tiles * self.block_rows), triton.cdiv(self.channels, self.block_channels)


def tiles_of(x: torch.Tensor, axis: int) -> Tiles:
    """Return the tiles of a value whose channels are along ``axis``."""
    channels = x.shape[axis]
    return Tiles.of(x.numel() // channels, channels)


def fits(kernel: object, x: torch.Tensor, *others: torch.Tensor | None) -> bool:
    """Return whether a kernel takes these: floats of up to 32 bits, all of one type and shape, on a device where it runs."""
    runs = x.is_cuda or not isinstance(kernel, triton.JITFunction)  # which a kernel is that Triton's interpreter runs
    alike = all(other is None or (other.shape == x.shape and other.dtype == x.dtype) for other in others)
    return runs and alike and x.dtype in DTYPES and x.numel() > 0 and x.dim() > 1


def in_rows(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Return a value whose memory is rows of channels; a copy where it is not yet."""
    moved = x.movedim(axis, -1)
    return x if moved.is_contiguous() else moved.contiguous().movedim(-1, axis)


def empty_rows(
    x: torch.Tensor, axis: int, shape: Sequence[int] | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return memory in rows of channels for a value like ``x``, or of another shape or type."""
    sizes = list(x.shape if shape is None else shape)
    sizes.append(sizes.pop(axis))
    return torch.empty(sizes, dtype=dtype or x.dtype, device=x.device).movedim(-1, axis)


class Gradient(NamedTuple):
    """A gradient, and where its rows are: row r begins at r // inner * outer.

    The gradient of an average over an image's positions is one row for all of them, which is not copied for each.
    """

    values: torch.Tensor
    inner: int
    outer: int

    @classmethod
    def of(cls, gradient: torch.Tensor, axis: int) -> Gradient:
        """Return where a gradient's rows are, of a copy where they are nowhere."""
        moved = gradient.movedim(axis, -1)
        positions = moved.shape[1:-1].numel()
        if moved.stride(-1) == 1 and positions > 1 and not any(moved.stride()[1:-1]):
            return cls(gradient, positions, moved.stride(0))
        return cls(in_rows(gradient, axis), 1, moved.shape[-1])


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the type that sums are taken in: of at least 32 bits."""
    return dtype if dtype.itemsize >= 4 else torch.float32


def dense(vector: torch.Tensor | None) -> torch.Tensor | None:
    """Return a vector whose elements are one after the other."""
    return vector if vector is None else vector.contiguous()


def given_or(value: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    """Return a tensor in the place of one that is not there, which a kernel will not read."""
    return other if value is None else value


def on_device_of(x: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Return the context in which Triton launches on a tensor's device."""
    return torch.cuda.device_of(x)  # type: ignore[no-untyped-call]  # torch leaves it unannotated


@triton.jit
def tile_at(first: tl.tensor, rows: tl.tensor, channels: tl.tensor, ROWS: tl.constexpr, CHANNELS: tl.constexpr) -> tl.tensor:
    """Return the rows and channels of a tile, its offsets in memory, and which of them are inside."""
    r = first.to(tl.int64) + tl.arange(0, ROWS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return r, c, r[:, None] * channels + c[None, :], (r < rows)[:, None] & (c < channels)[None, :]


@triton.jit
def loaded(pointer: tl.tensor, at: tl.tensor, inside: tl.tensor) -> tl.tensor:
    """Return values in float32, 0 outside."""
    return tl.load(pointer + at, mask=inside, other=0).to(tl.float32)


@triton.jit
def gradient_at(
    pointer: tl.tensor, r: tl.tensor, c: tl.tensor, inner: tl.tensor, outer: tl.tensor, inside: tl.tensor
) -> tl.tensor:
    """Return the gradient's values of a tile in float32."""
    return loaded(pointer, (r // inner)[:, None] * outer + c[None, :], inside)
