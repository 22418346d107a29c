"""y = f(x + bias + before) + after: a bias, an activation and a residual sum in one pass over memory.

The backward pass gives the gradient of x and that of the bias in one more: each program adds up a strip of rows in float32,
and the strips' sums are added up in their order, so that the result does not depend on which program ends first.
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
from anabranch.engine.kernels.limits import BY_RESULT

Gradients = tuple[torch.Tensor, torch.Tensor]


@triton.jit
def _forward(
    x: tl.tensor, bias: tl.tensor, before: tl.tensor, after: tl.tensor, y: tl.tensor, rows: tl.tensor, channels: tl.tensor,
    BIAS: tl.constexpr, BEFORE: tl.constexpr, AFTER: tl.constexpr, ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    _r, c, at, inside = tile_at(tl.program_id(0).to(tl.int64) * ROWS, rows, channels, ROWS, CHANNELS)
    z = loaded(x, at, inside)
    if BIAS:
        z += loaded(bias, c, c < channels)[None, :]
    if BEFORE:
        z += loaded(before, at, inside)
    z = activate(z, ACTIVATION)
    if AFTER:
        z += loaded(after, at, inside)
    tl.store(y + at, z.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    gradient: tl.tensor, saved: tl.tensor, bias: tl.tensor, before: tl.tensor, dx: tl.tensor, sums: tl.tensor,
    rows: tl.tensor, channels: tl.tensor, inner: tl.tensor, outer: tl.tensor,
    BIAS: tl.constexpr, BEFORE: tl.constexpr, BY_INPUT: tl.constexpr, ACTIVATION: tl.constexpr,
    TILES: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * TILES * ROWS
    total = tl.zeros([CHANNELS], tl.float32)
    for tile in range(TILES):
        r, c, at, inside = tile_at(start + tile * ROWS, rows, channels, ROWS, CHANNELS)
        value = loaded(saved, at, inside)
        if BY_INPUT:
            if BIAS:
                value += loaded(bias, c, c < channels)[None, :]
            if BEFORE:
                value += loaded(before, at, inside)
        g = through(gradient_at(gradient, r, c, inner, outer, inside), value, ACTIVATION)
        tl.store(dx + at, g.to(dx.dtype.element_ty), mask=inside)
        total += tl.sum(g, axis=0)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    tl.store(sums + tl.program_id(0) * channels + c, total, mask=c < channels)


def reference(
    x: torch.Tensor, bias: torch.Tensor | None, before: torch.Tensor | None, after: torch.Tensor | None,
    activation: str, axis: int,
) -> torch.Tensor:  # fmt: skip
    """Return what the kernel computes, in plain torch."""
    z = _summed(x, bias, before, axis)
    y = activated(z, activation).to(x.dtype)
    return y if after is None else y + after


def reference_backward(
    gradient: torch.Tensor, saved: torch.Tensor, bias: torch.Tensor | None, before: torch.Tensor | None,
    by_input: bool, activation: str, axis: int,
) -> Gradients:  # fmt: skip
    """Return the gradients of x and of the bias, in plain torch."""
    value = _summed(saved, bias, before, axis) if by_input else saved
    dx = gradient_through(gradient.to(value.dtype), value, activation).to(saved.dtype)
    return dx, dx.to(wide(dx.dtype)).movedim(axis, -1).flatten(0, -2).sum(0)


def _summed(x: torch.Tensor, bias: torch.Tensor | None, before: torch.Tensor | None, axis: int) -> torch.Tensor:
    z = x if bias is None else x + bias.reshape([-1 if place == axis % x.dim() else 1 for place in range(x.dim())])
    return z if before is None else z + before


@torch.library.custom_op(
    "anabranch::bias_activation", mutates_args=(),
    schema="(Tensor x, Tensor? bias, Tensor? before, Tensor? after, str activation, int axis) -> Tensor",
)  # fmt: skip
def bias_activation(
    x: torch.Tensor, bias: torch.Tensor | None, before: torch.Tensor | None, after: torch.Tensor | None,
    activation: str, axis: int,
) -> torch.Tensor:  # fmt: skip
    """Return f(x + bias + before) + after, the channels along ``axis``; ``activation`` is one of ``activations.NAMES``."""
    if not fits(_forward, x, before, after):
        return reference(x, bias, before, after, activation, axis).clone()
    x, y, bias = in_rows(x, axis), empty_rows(x, axis), dense(bias)
    before, after = (other if other is None else in_rows(other, axis) for other in (before, after))
    tiles = tiles_of(x, axis)
    with on_device_of(x):
        _forward[tiles.grid](
            x, given_or(bias, x), given_or(before, x), given_or(after, x), y, tiles.rows, tiles.channels,
            BIAS=bias is not None, BEFORE=before is not None, AFTER=after is not None, ACTIVATION=activation,
            ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return y


@torch.library.custom_op(
    "anabranch::bias_activation_backward", mutates_args=(),
    schema="(Tensor gradient, Tensor saved, Tensor? bias, Tensor? before, bool by_input, str activation, int axis)"
    " -> (Tensor, Tensor)",
)  # fmt: skip
def bias_activation_backward(
    gradient: torch.Tensor, saved: torch.Tensor, bias: torch.Tensor | None, before: torch.Tensor | None,
    by_input: bool, activation: str, axis: int,
) -> Gradients:  # fmt: skip
    """Return the gradients of x and of the bias, that in float32; ``saved`` is x where ``by_input`` is true, else y."""
    if not fits(_backward, saved, before, gradient):
        dx, sums = reference_backward(gradient, saved, bias, before, by_input, activation, axis)
        return dx.clone(), sums
    saved, dx, bias = in_rows(saved, axis), empty_rows(saved, axis), dense(bias)
    before = before if before is None else in_rows(before, axis)
    tiles, given = tiles_of(saved, axis), Gradient.of(gradient, axis)
    sums = torch.empty((tiles.strips[0], tiles.channels), dtype=torch.float32, device=saved.device)
    with on_device_of(saved):
        _backward[tiles.strips](
            given.values, saved, given_or(bias, saved), given_or(before, saved), dx, sums,
            tiles.rows, tiles.channels, given.inner, given.outer,
            BIAS=bias is not None, BEFORE=before is not None, BY_INPUT=by_input, ACTIVATION=activation,
            TILES=tiles.strip_tiles, ROWS=tiles.block_rows, CHANNELS=tiles.block_channels,
        )  # fmt: skip
    return dx, sums.sum(0)


@bias_activation.register_fake
def _fake(x: torch.Tensor, bias: object, before: object, after: object, activation: str, axis: int) -> torch.Tensor:
    return empty_rows(x, axis)


@bias_activation_backward.register_fake
def _fake_backward(
    gradient: torch.Tensor, saved: torch.Tensor, bias: object, before: object, by_input: bool, activation: str, axis: int
) -> Gradients:
    return empty_rows(saved, axis), torch.empty(saved.shape[axis], dtype=wide(saved.dtype), device=saved.device)


def _save(ctx: Context, inputs: Sequence[Context], output: torch.Tensor) -> None:
    x, bias, before, after, activation, axis = inputs
    ctx.activation, ctx.axis = activation, axis
    ctx.wide = wide(x.dtype)
    ctx.kind = bias if bias is None else bias.dtype
    ctx.by_input = activation not in BY_RESULT or after is not None
    if activation != "none":
        ctx.save_for_backward(*((x, bias, before) if ctx.by_input else (output,)))


def _gradients(ctx: Context, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    asked = ctx.needs_input_grad
    if ctx.activation == "none":
        dx, sums = gradient, gradient.movedim(ctx.axis, -1).flatten(0, -2).sum(0, dtype=ctx.wide) if asked[1] else None
    else:
        saved, *others = ctx.saved_tensors
        bias, before = others or (None, None)
        dx, sums = bias_activation_backward(gradient, saved, bias, before, ctx.by_input, ctx.activation, ctx.axis)
    return (
        dx if asked[0] else None,
        sums.to(ctx.kind) if asked[1] and sums is not None else None,
        dx if asked[2] else None,
        gradient if asked[3] else None,
        None,
        None,
    )


bias_activation.register_autograd(_gradients, setup_context=_save)
