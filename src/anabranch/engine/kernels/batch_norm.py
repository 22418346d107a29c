"""y = f(gamma · (x - mean) / sqrt(variance + epsilon) + beta + before): a normalization, a residual sum and an activation.

The batch's mean and variance are found by strips of rows: each program merges the mean and the sum of squares around it of one
tile after the other (Chan et al. 1979), and a second kernel merges those of the strips in their order, all in float32. The
backward pass adds up two sums for each channel the same way, and then reads everything once more for the gradient of x.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from anabranch.engine.kernels.activations import activate, activated, gradient_through, through
from anabranch.engine.kernels.launching import (
    Context,
    Gradient,
    Tiles,
    dense,
    empty_rows,
    fits,
    given_or,
    gradient_at,
    in_rows,
    loaded,
    on_device_of,
    tile_at,
    tiles_of,
    wide,
)

Maybe = torch.Tensor | None
Normalized = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
MERGED = 32  # strips that are merged at a time


@triton.jit
def _gather(
    x: tl.tensor, means: tl.tensor, squares: tl.tensor, rows: tl.tensor, channels: tl.tensor,
    TILES: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * TILES * ROWS
    count = 0.0
    mean = tl.zeros([CHANNELS], tl.float32)
    square = tl.zeros([CHANNELS], tl.float32)
    for tile in range(TILES):
        r, _c, at, inside = tile_at(start + tile * ROWS, rows, channels, ROWS, CHANNELS)
        values = loaded(x, at, inside)
        more = tl.sum((r < rows).to(tl.float32), axis=0)
        centre = tl.sum(values, axis=0) / tl.maximum(more, 1.0)
        apart = tl.where(inside, values - centre[None, :], 0.0)
        both = tl.maximum(count + more, 1.0)
        step = centre - mean
        square += tl.sum(apart * apart, axis=0) + step * step * (count * more / both)
        mean += step * (more / both)
        count += more
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    tl.store(means + tl.program_id(0) * channels + c, mean, mask=c < channels)
    tl.store(squares + tl.program_id(0) * channels + c, square, mask=c < channels)


@triton.jit
def _merge(
    means: tl.tensor, squares: tl.tensor, mean: tl.tensor, inverse: tl.tensor,
    rows: tl.tensor, channels: tl.tensor, strips: tl.tensor, epsilon: tl.tensor,
    STRIP: tl.constexpr, TIMES: tl.constexpr, STRIPS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros([CHANNELS], tl.float32)
    for time in range(TIMES):
        s = time * STRIPS + tl.arange(0, STRIPS)
        inside = (s < strips)[:, None] & (c < channels)[None, :]
        count = tl.minimum(rows - s.to(tl.int64) * STRIP, STRIP).to(tl.float32)
        total += tl.sum(loaded(means, s[:, None] * channels + c[None, :], inside) * count[:, None], axis=0)
    centre = total / rows
    total = tl.zeros([CHANNELS], tl.float32)
    for time in range(TIMES):
        s = time * STRIPS + tl.arange(0, STRIPS)
        inside = (s < strips)[:, None] & (c < channels)[None, :]
        at = s[:, None] * channels + c[None, :]
        count = tl.minimum(rows - s.to(tl.int64) * STRIP, STRIP).to(tl.float32)
        apart = loaded(means, at, inside) - centre[None, :]
        total += tl.sum(tl.where(inside, loaded(squares, at, inside) + apart * apart * count[:, None], 0.0), axis=0)
    tl.store(mean + c, centre, mask=c < channels)
    tl.store(inverse + c, 1 / tl.sqrt(total / rows + epsilon), mask=c < channels)


@triton.jit
def _apply(
    x: tl.tensor, mean: tl.tensor, spread: tl.tensor, gamma: tl.tensor, beta: tl.tensor, before: tl.tensor, y: tl.tensor,
    rows: tl.tensor, channels: tl.tensor, epsilon: tl.tensor,
    VARIANCE: tl.constexpr, GAMMA: tl.constexpr, BETA: tl.constexpr, BEFORE: tl.constexpr, ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    _r, c, at, inside = tile_at(tl.program_id(0).to(tl.int64) * ROWS, rows, channels, ROWS, CHANNELS)
    scale = loaded(spread, c, c < channels)
    if VARIANCE:
        scale = 1 / tl.sqrt(scale + epsilon)
    if GAMMA:
        scale *= loaded(gamma, c, c < channels)
    z = (loaded(x, at, inside) - loaded(mean, c, c < channels)[None, :]) * scale[None, :]
    if BETA:
        z += loaded(beta, c, c < channels)[None, :]
    if BEFORE:
        z += loaded(before, at, inside)
    tl.store(y + at, activate(z, ACTIVATION).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _sum(
    gradient: tl.tensor, y: tl.tensor, x: tl.tensor, mean: tl.tensor, inverse: tl.tensor, sums: tl.tensor, products: tl.tensor,
    rows: tl.tensor, channels: tl.tensor, inner: tl.tensor, outer: tl.tensor,
    ACTIVATION: tl.constexpr, TILES: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * TILES * ROWS
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    centre = loaded(mean, c, c < channels)
    scale = loaded(inverse, c, c < channels)
    total = tl.zeros([CHANNELS], tl.float32)
    product = tl.zeros([CHANNELS], tl.float32)
    for tile in range(TILES):
        r, c, at, inside = tile_at(start + tile * ROWS, rows, channels, ROWS, CHANNELS)
        g = through(gradient_at(gradient, r, c, inner, outer, inside), loaded(y, at, inside), ACTIVATION)
        total += tl.sum(g, axis=0)
        product += tl.sum(g * ((loaded(x, at, inside) - centre[None, :]) * scale[None, :]), axis=0)
    tl.store(sums + tl.program_id(0) * channels + c, total, mask=c < channels)
    tl.store(products + tl.program_id(0) * channels + c, product, mask=c < channels)


@triton.jit
def _backward(
    gradient: tl.tensor, y: tl.tensor, x: tl.tensor, mean: tl.tensor, inverse: tl.tensor, gamma: tl.tensor,
    sums: tl.tensor, products: tl.tensor, dx: tl.tensor, dbefore: tl.tensor,
    rows: tl.tensor, channels: tl.tensor, inner: tl.tensor, outer: tl.tensor,
    GAMMA: tl.constexpr, BEFORE: tl.constexpr, ACTIVATION: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    r, c, at, inside = tile_at(tl.program_id(0).to(tl.int64) * ROWS, rows, channels, ROWS, CHANNELS)
    g = through(gradient_at(gradient, r, c, inner, outer, inside), loaded(y, at, inside), ACTIVATION)
    if BEFORE:
        tl.store(dbefore + at, g.to(dbefore.dtype.element_ty), mask=inside)
    scale = loaded(inverse, c, c < channels)
    apart = (loaded(x, at, inside) - loaded(mean, c, c < channels)[None, :]) * scale[None, :]
    if GAMMA:
        scale *= loaded(gamma, c, c < channels)
    g -= (loaded(sums, c, c < channels) / rows)[None, :] + apart * (loaded(products, c, c < channels) / rows)[None, :]
    tl.store(dx + at, (g * scale[None, :]).to(dx.dtype.element_ty), mask=inside)


def reference(x: torch.Tensor, gamma: Maybe, beta: Maybe, before: Maybe, epsilon: float, activation: str) -> Normalized:
    """Return y, and the batch's mean and 1 / sqrt(variance + epsilon), in plain torch."""
    y, mean, inverse = torch.ops.aten.native_batch_norm(x, gamma, beta, None, None, True, 0.0, epsilon)
    y = y.to(x.dtype)
    return activated(y if before is None else y + before, activation), mean, inverse


def reference_backward(
    gradient: torch.Tensor, y: torch.Tensor, x: torch.Tensor, mean: torch.Tensor, inverse: torch.Tensor, gamma: Maybe,
    epsilon: float, activation: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the gradients of x, gamma, beta and what is added before the activation, in plain torch."""
    g = gradient_through(gradient.contiguous(), y, activation)
    scale = torch.ones_like(mean) if gamma is None else gamma  # torch gives no gradient of a scale that is not there
    found = torch.ops.aten.native_batch_norm_backward(g, x, scale, None, None, mean, inverse, True, epsilon, [True, True, True])
    return *found, g


@torch.library.custom_op(
    "anabranch::batch_norm", mutates_args=(),
    schema="(Tensor x, Tensor? gamma, Tensor? beta, Tensor? before, float epsilon, str activation)"
    " -> (Tensor, Tensor, Tensor)",
)  # fmt: skip
def batch_norm(x: torch.Tensor, gamma: Maybe, beta: Maybe, before: Maybe, epsilon: float, activation: str) -> Normalized:
    """Return y by the statistics of the batch (B, C, …), and the batch's mean and 1 / sqrt(variance + epsilon)."""
    if not fits(_apply, x, before):
        return reference(x, gamma, beta, before, epsilon, activation)
    x, gamma, beta = in_rows(x, 1), dense(gamma), dense(beta)
    tiles = tiles_of(x, 1)
    mean, inverse = (torch.empty(tiles.channels, dtype=torch.float32, device=x.device) for _ in range(2))
    strips, blocks = tiles.strips
    parts = torch.empty((2, strips, tiles.channels), dtype=torch.float32, device=x.device)
    with on_device_of(x):
        _gather[strips, blocks](
            x, parts[0], parts[1], tiles.rows, tiles.channels,
            TILES=tiles.strip_tiles, ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
        _merge[(blocks,)](
            parts[0], parts[1], mean, inverse, tiles.rows, tiles.channels, strips, epsilon,
            STRIP=tiles.strip_tiles * tiles.block_rows, TIMES=triton.next_power_of_2(triton.cdiv(strips, MERGED)),
            STRIPS=MERGED, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return _applied(x, mean, inverse, gamma, beta, before, epsilon, activation, tiles, variance=False), mean, inverse


def _applied(
    x: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor, gamma: Maybe, beta: Maybe, before: Maybe, epsilon: float,
    activation: str, tiles: Tiles, *, variance: bool,
) -> torch.Tensor:  # fmt: skip
    y = empty_rows(x, 1)
    before = before if before is None else in_rows(before, 1)
    with on_device_of(x):
        _apply[tiles.grid](
            x, mean, spread, given_or(gamma, mean), given_or(beta, mean), given_or(before, x), y,
            tiles.rows, tiles.channels, epsilon,
            VARIANCE=variance, GAMMA=gamma is not None, BETA=beta is not None, BEFORE=before is not None,
            ACTIVATION=activation, ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return y


@torch.library.custom_op(
    "anabranch::batch_norm_backward", mutates_args=(),
    schema="(Tensor gradient, Tensor y, Tensor x, Tensor mean, Tensor inverse, Tensor? gamma, bool before, float epsilon,"
    " str activation) -> (Tensor, Tensor, Tensor, Tensor)",
)  # fmt: skip
def batch_norm_backward(
    gradient: torch.Tensor, y: torch.Tensor, x: torch.Tensor, mean: torch.Tensor, inverse: torch.Tensor, gamma: Maybe,
    before: bool, epsilon: float, activation: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the gradients of x, gamma and beta, and that of what was added, which is empty where ``before`` is false."""
    if not fits(_backward, x, y, gradient):
        *found, g = reference_backward(gradient, y, x, mean, inverse, gamma, epsilon, activation)
        return found[0], found[1], found[2], g.clone() if before else x.new_empty(0)
    x, y, gamma = in_rows(x, 1), in_rows(y, 1), dense(gamma)
    tiles, given = tiles_of(x, 1), Gradient.of(gradient, 1)
    strips, blocks = tiles.strips
    parts = torch.empty((2, strips, tiles.channels), dtype=torch.float32, device=x.device)
    dx, dbefore = empty_rows(x, 1), empty_rows(x, 1) if before else x.new_empty(0)
    shared = {"ACTIVATION": activation, "ROWS": tiles.block_rows, "CHANNELS": tiles.block_channels}
    with on_device_of(x):
        _sum[strips, blocks](
            given.values, y, x, mean, inverse, parts[0], parts[1],
            tiles.rows, tiles.channels, given.inner, given.outer, TILES=tiles.strip_tiles, **shared,
        )  # fmt: skip
        sums, products = parts[0].sum(0), parts[1].sum(0)
        _backward[tiles.grid](
            given.values, y, x, mean, inverse, given_or(gamma, mean), sums, products, dx, dbefore if before else dx,
            tiles.rows, tiles.channels, given.inner, given.outer, GAMMA=gamma is not None, BEFORE=before, **shared,
        )  # fmt: skip
    return dx, products, sums, dbefore


@torch.library.custom_op(
    "anabranch::fixed_batch_norm", mutates_args=(),
    schema="(Tensor x, Tensor mean, Tensor variance, Tensor? gamma, Tensor? beta, Tensor? before, float epsilon,"
    " str activation) -> Tensor",
)  # fmt: skip
def fixed_batch_norm(
    x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, gamma: Maybe, beta: Maybe, before: Maybe, epsilon: float,
    activation: str,
) -> torch.Tensor:  # fmt: skip
    """Return y by fixed statistics; there is no gradient of it."""
    if not fits(_apply, x, before):
        return fixed_reference(x, mean, variance, gamma, beta, before, epsilon, activation)
    x, tiles = in_rows(x, 1), tiles_of(x, 1)
    given = (mean.contiguous(), variance.contiguous(), dense(gamma), dense(beta))
    return _applied(x, *given, before, epsilon, activation, tiles, variance=True)


def fixed_reference(
    x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, gamma: Maybe, beta: Maybe, before: Maybe, epsilon: float,
    activation: str,
) -> torch.Tensor:  # fmt: skip
    """Return what :func:`fixed_batch_norm` does, in plain torch."""
    y = torch.batch_norm(x, gamma, beta, mean, variance, False, 0.0, epsilon, False)
    return activated(y if before is None else y + before, activation)


@batch_norm.register_fake
def _fake(x: torch.Tensor, gamma: object, beta: object, before: object, epsilon: float, activation: str) -> Normalized:
    one, other = (torch.empty(x.shape[1], dtype=wide(x.dtype), device=x.device) for _ in "12")
    return empty_rows(x, 1), one, other


@batch_norm_backward.register_fake
def _fake_backward(
    gradient: torch.Tensor, y: torch.Tensor, x: torch.Tensor, mean: torch.Tensor, inverse: torch.Tensor, gamma: object,
    before: bool, epsilon: float, activation: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    added = empty_rows(x, 1) if before else x.new_empty(0)
    return empty_rows(x, 1), torch.empty_like(mean), torch.empty_like(mean), added


@fixed_batch_norm.register_fake
def _fake_fixed(
    x: torch.Tensor, mean: object, variance: object, gamma: object, beta: object, before: object, epsilon: float,
    activation: str,
) -> torch.Tensor:  # fmt: skip
    return empty_rows(x, 1)


def _save(ctx: Context, inputs: Sequence[Context], output: Normalized) -> None:
    x, gamma, beta, before, ctx.epsilon, ctx.activation = inputs
    ctx.kinds = [value if value is None else value.dtype for value in (gamma, beta)]
    ctx.before = before is not None
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # of zeros, for what has no gradient
    ctx.save_for_backward(output[0], x, output[1], output[2], gamma)


def _gradients(ctx: Context, gradient: Maybe, *_: object) -> tuple[Maybe, ...]:
    if gradient is None:
        return (None,) * 6
    asked, kinds = ctx.needs_input_grad, ctx.kinds
    dx, dgamma, dbeta, dbefore = batch_norm_backward(gradient, *ctx.saved_tensors, ctx.before, ctx.epsilon, ctx.activation)
    return (
        dx if asked[0] else None,
        dgamma.to(kinds[0]) if asked[1] else None,
        dbeta.to(kinds[1]) if asked[2] else None,
        dbefore if asked[3] else None,
        None,
        None,
    )


batch_norm.register_autograd(_gradients, setup_context=_save)
