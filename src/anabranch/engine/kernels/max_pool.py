"""The greatest value of each window, of windows that do not overlap, and where in the window it was, in one byte.

torch saves eight bytes for each window, and its gradient looks for the windows of each pixel. A pixel of disjoint windows is in
one at most, so each gradient is written once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from anabranch.engine.kernels.launching import (
    Context,
    Gradient,
    empty_rows,
    fits,
    in_rows,
    loaded,
    on_device_of,
    tile_at,
    tiles_of,
)

Pair = Sequence[int]


@triton.jit
def _forward(
    x: tl.tensor, y: tl.tensor, places: tl.tensor, rows: tl.tensor, channels: tl.tensor,
    height: tl.tensor, width: tl.tensor, high: tl.tensor, wide: tl.tensor,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    r, c, at, inside = tile_at(tl.program_id(0).to(tl.int64) * ROWS, rows, channels, ROWS, CHANNELS)
    corner = (r // wide // high * height + r // wide % high * STRIDE_H) * width + r % wide * STRIDE_W
    most = tl.full([ROWS, CHANNELS], float("-inf"), tl.float32)
    place = tl.zeros([ROWS, CHANNELS], tl.int32)
    for number in range(KERNEL_H * KERNEL_W):
        pixel = corner + number // KERNEL_W * width + number % KERNEL_W
        value = loaded(x, pixel[:, None] * channels + c[None, :], inside)
        better = (value > most) | (value != value)
        most = tl.where(better, value, most)
        place = tl.where(better, number, place)
    tl.store(y + at, most.to(y.dtype.element_ty), mask=inside)
    tl.store(places + at, place.to(tl.uint8), mask=inside)


@triton.jit
def _backward(
    gradient: tl.tensor, places: tl.tensor, dx: tl.tensor, rows: tl.tensor, channels: tl.tensor,
    height: tl.tensor, width: tl.tensor, high: tl.tensor, wide: tl.tensor, inner: tl.tensor, outer: tl.tensor,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    r, c, at, inside = tile_at(tl.program_id(0).to(tl.int64) * ROWS, rows, channels, ROWS, CHANNELS)
    i, j = r // width % height, r % width
    up, left = i // STRIDE_H, j // STRIDE_W
    down, right = i - up * STRIDE_H, j - left * STRIDE_W
    taken = (up < high) & (left < wide) & (down < KERNEL_H) & (right < KERNEL_W)
    window = (r // width // height * high + up) * wide + left
    seen = inside & taken[:, None]
    place = tl.load(places + window[:, None] * channels + c[None, :], mask=seen, other=0).to(tl.int32)
    g = loaded(gradient, (window // inner)[:, None] * outer + c[None, :], seen)
    g = tl.where(place == (down * KERNEL_W + right)[:, None], g, 0.0)
    tl.store(dx + at, g.to(dx.dtype.element_ty), mask=inside)


def pooled_shape(x: torch.Tensor, kernel: Pair, strides: Pair) -> list[int]:
    """Return the shape of the result of windows without padding."""
    return [*x.shape[:2], *((size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, strides, strict=True))]


def reference(x: torch.Tensor, kernel: Pair, strides: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the kernel computes, in plain torch."""
    y, index = torch.ops.aten.max_pool2d_with_indices(x, kernel, strides)
    i, j = index // x.shape[3], index % x.shape[3]
    return y, (i % strides[0] * kernel[1] + j % strides[1]).to(torch.uint8)


def reference_backward(
    gradient: torch.Tensor, places: torch.Tensor, height: int, width: int, kernel: Pair, strides: Pair
) -> torch.Tensor:
    """Return the gradient of x, in plain torch."""
    dx = gradient.new_zeros([*gradient.shape[:2], height, width])
    high, wide = gradient.shape[2:]
    for number in range(kernel[0] * kernel[1]):
        i, j = divmod(number, kernel[1])
        part = dx[:, :, i : i + (high - 1) * strides[0] + 1 : strides[0], j : j + (wide - 1) * strides[1] + 1 : strides[1]]
        part.copy_(torch.where(places == number, gradient, 0))
    return dx


@torch.library.custom_op(
    "anabranch::max_pool", mutates_args=(), schema="(Tensor x, int[] kernel, int[] strides) -> (Tensor, Tensor)"
)
def max_pool(x: torch.Tensor, kernel: Pair, strides: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the maximum of each window of x (B, C, H, W), and its place in the window; windows must not overlap."""
    if not fits(_forward, x):
        return reference(x, kernel, strides)
    x = in_rows(x, 1)
    shape = pooled_shape(x, kernel, strides)
    y, places = empty_rows(x, 1, shape), empty_rows(x, 1, shape, torch.uint8)
    tiles = tiles_of(y, 1)
    with on_device_of(x):
        _forward[tiles.grid](
            x, y, places, tiles.rows, tiles.channels, *x.shape[2:], *shape[2:],
            KERNEL_H=kernel[0], KERNEL_W=kernel[1], STRIDE_H=strides[0], STRIDE_W=strides[1],
            ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return y, places


@torch.library.custom_op(
    "anabranch::max_pool_backward", mutates_args=(),
    schema="(Tensor gradient, Tensor places, SymInt height, SymInt width, int[] kernel, int[] strides) -> Tensor",
)  # fmt: skip
def max_pool_backward(
    gradient: torch.Tensor, places: torch.Tensor, height: int, width: int, kernel: Pair, strides: Pair
) -> torch.Tensor:
    """Return the gradient of x, whose images are of that height and width."""
    if not fits(_backward, gradient):
        return reference_backward(gradient, places, height, width, kernel, strides)
    given, places = Gradient.of(gradient, 1), in_rows(places, 1)
    dx = empty_rows(gradient, 1, (*gradient.shape[:2], height, width))
    tiles = tiles_of(dx, 1)
    with on_device_of(dx):
        _backward[tiles.grid](
            given.values, places, dx, tiles.rows, tiles.channels, height, width, *gradient.shape[2:],
            given.inner, given.outer, KERNEL_H=kernel[0], KERNEL_W=kernel[1], STRIDE_H=strides[0], STRIDE_W=strides[1],
            ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return dx


@max_pool.register_fake
def _fake(x: torch.Tensor, kernel: Pair, strides: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    shape = pooled_shape(x, kernel, strides)
    return empty_rows(x, 1, shape), empty_rows(x, 1, shape, torch.uint8)


@max_pool_backward.register_fake
def _fake_backward(
    gradient: torch.Tensor, places: torch.Tensor, height: int, width: int, kernel: Pair, strides: Pair
) -> torch.Tensor:
    return empty_rows(gradient, 1, (*gradient.shape[:2], height, width))


def _save(ctx: Context, inputs: Sequence[Context], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, ctx.kernel, ctx.strides = inputs
    ctx.size = x.shape[2:]
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # of zeros, for what has no gradient
    ctx.save_for_backward(output[1])


def _gradients(ctx: Context, gradient: torch.Tensor | None, _: object) -> tuple[torch.Tensor | None, None, None]:
    if gradient is None:
        return None, None, None
    return max_pool_backward(gradient, *ctx.saved_tensors, *ctx.size, ctx.kernel, ctx.strides), None, None


max_pool.register_autograd(_gradients, setup_context=_save)
