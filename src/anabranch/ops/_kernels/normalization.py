"""Normalizations: of batches, of layers, of groups."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import torch
import torch.nn.functional as F

from anabranch.graph import Weight
from anabranch.ops._types import Tensor
from anabranch.runtime.state import precision
from anabranch.runtime.weights import gets_gradient, native, uncast

P = ParamSpec("P")


def _maybe(weight: Weight | Tensor | None) -> Tensor | None:
    return None if weight is None else native(weight)


def _to_axis_1(x: Tensor, axis: int, rank: int) -> Tensor:
    if axis == 0:
        return x.transpose(0, 1)
    return x if axis == 1 else x.permute(0, axis, *(a for a in range(1, rank) if a != axis))


def _from_axis_1(x: Tensor, axis: int, rank: int) -> Tensor:
    if axis == 0:
        return x.transpose(0, 1)
    return x if axis == 1 else x.permute(0, *range(2, axis + 1), 1, *range(axis + 1, rank))


def _in_float32(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let sums and squares of a layer that computes in 16 bits be taken in float32, as Keras does; the result is in 16."""

    @functools.wraps(function)
    def widened(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        low = precision()
        if low is None:
            return function(*args, **kwargs)
        x, *others = args
        return function(x.to(torch.float32), *others, **kwargs).to(getattr(torch, low))  # type: ignore[attr-defined,arg-type]  # x is a tensor

    return widened


# the overload, unlike the method, is known to torch.fx as one that writes: removing dead code then leaves it
_move = torch.ops.aten.lerp_.Scalar


def batch_norm(
    x: Tensor,
    gamma: Weight | None,
    beta: Weight | None,
    moving_mean: Weight,
    moving_variance: Weight,
    *,
    axis: int,
    rank: int,
    epsilon: float,
    momentum: float | None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return gamma · (x - mean) / sqrt(variance + epsilon) + beta along ``axis``.

    With a momentum mean and variance are the batch's, and the moving ones move: m ← momentum · m + (1 - momentum) · batch's.
    The variance is the biased one, as in Keras; torch's own statistics take the unbiased one.
    """
    flat = (axis, rank) == (2, 3)  # torch is many times faster on rows (n, C) than on (B, C, T) with the channels last
    rows = x.flatten(0, 1) if flat else _to_axis_1(x, axis, rank)
    mean, variance, weights = native(moving_mean), native(moving_variance), (_maybe(gamma), _maybe(beta))
    if momentum is None:
        y = F.batch_norm(rows, mean, variance, *weights, False, 0.0, epsilon)
    elif mask is not None:
        return _masked_batch_norm(x, mask, mean, variance, *weights, axis, rank, epsilon, momentum)
    else:
        y, batch_mean, batch_deviation = _batch_norm(rows, *weights, epsilon)
        _move(mean, batch_mean, 1 - momentum)
        _move(variance, batch_deviation.pow(-2) - epsilon, 1 - momentum)
    return y.view_as(x) if flat else _from_axis_1(y, axis, rank)


@_in_float32
def _masked_batch_norm(
    x: Tensor,
    mask: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    axis: int,
    rank: int,
    epsilon: float,
    momentum: float,
) -> Tensor:
    """Return what ``batch_norm`` does while training, the batch's mean and variance taken where ``mask`` is true."""
    share = mask.bool().unsqueeze(-1).expand_as(x)
    others, spread = [a for a in range(rank) if a != axis], [-1 if a == axis else 1 for a in range(rank)]
    count = share.to(x.dtype).sum(others, keepdim=True) + 1e-7  # as in Keras: where nothing counts the mean is 0
    centre = torch.where(share, x, 0).sum(others, keepdim=True) / count
    spread_out = torch.where(share, x - centre, 0).square().sum(others, keepdim=True) / count
    _move(mean, centre.detach().flatten(), 1 - momentum)
    _move(variance, spread_out.detach().flatten(), 1 - momentum)
    y = (x - centre) * torch.rsqrt(spread_out + epsilon)
    y = y if gamma is None else y * gamma.reshape(spread)
    return y if beta is None else y + beta.reshape(spread)


def _batch_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return x (n, C, …) normalized, and the batch's mean and 1 / sqrt(variance + epsilon), through which nothing learns."""
    low, plain = precision(), gamma is None and beta is None  # torch takes statistics in the weights' type, or else in x's
    given = x.to(torch.float32) if low and plain else x
    found = torch.native_batch_norm(given, gamma, beta, None, None, True, 0.0, epsilon)
    y, mean, deviation = found[0], found[1], found[2]
    if low is None:
        return y, mean.detach(), deviation.detach()
    if not plain:  # torch.compile takes them to be in x's type
        return y, mean.detach().to(torch.float32), deviation.detach().to(torch.float32)
    return y.to(getattr(torch, low)), mean.detach(), deviation.detach()


@_in_float32
def layer_norm(
    x: Tensor,
    gamma: Weight | Tensor | None,
    beta: Weight | Tensor | None,
    axes: tuple[int, ...],
    shape: tuple[int | None, ...],
    epsilon: float,
) -> Tensor:
    """Return gamma · (x - mean) / sqrt(variance + epsilon) + beta, mean and variance taken over ``axes`` of each sample."""
    rank = len(shape)
    if axes == tuple(range(rank - len(axes), rank)):
        sizes = [size for size in shape[-len(axes) :] if size is not None]
        return F.layer_norm(x, sizes, _maybe(gamma), _maybe(beta), epsilon)
    mean = x.mean(axes, keepdim=True)
    variance = x.var(axes, correction=0, keepdim=True)
    x = (x - mean) * torch.rsqrt(variance + epsilon)
    spread = [_open(size) if axis in axes else 1 for axis, size in enumerate(shape)]
    x = x if gamma is None else x * native(gamma).reshape(spread)
    return x if beta is None else x + native(beta).reshape(spread)


def _open(size: int | None) -> int:
    return -1 if size is None else size


@_in_float32
def rms_norm(x: Tensor, scale: Weight | Tensor, axes: tuple[int, ...], shape: tuple[int | None, ...], epsilon: float) -> Tensor:
    """Return scale · x / sqrt(mean(x²) + epsilon), the mean taken over ``axes`` of each sample."""
    spread = [_open(size) if axis in axes else 1 for axis, size in enumerate(shape)]
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon) * native(scale).reshape(spread)


@_in_float32
def unit_norm(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return x / ‖x‖₂ over ``axes``; of a zero vector zeros."""
    length = torch.linalg.vector_norm(x, dim=axes, keepdim=True).clamp(min=1e-12)
    return x / torch.where(length > 0, length, 1)  # 1e-12 is 0 in float16


@_in_float32
def group_norm(
    x: Tensor, gamma: Weight | None, beta: Weight | None, groups: int, axis: int, rank: int, epsilon: float
) -> Tensor:
    """Return x normalized over each group of channels and all positions (Wu & He 2018)."""
    weights = _maybe(gamma), _maybe(beta)
    # torch's gradients fail for a bias without a scale; and, where x needs none, crash for images with the channels last
    weighted = any(weight is not None for weight in weights)
    apart = weighted and (weights[0] is None or (rank > 3 and not gets_gradient(x)))
    given = (None, None) if apart else weights
    y = torch.group_norm(_to_axis_1(x, axis, rank), groups, *given, epsilon)  # unlike F's it takes groups of one value
    y = _from_axis_1(y, axis, rank)
    if not apart:
        return y
    scale, shift = (_spread(weight, axis, rank) for weight in weights)
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


def _spread(weight: Tensor | None, axis: int, rank: int) -> Tensor | None:
    """Return a weight along ``axis`` as one that broadcasts to a value of that rank."""
    if weight is None or axis == rank - 1:
        return weight
    return weight.reshape([-1 if a == axis else 1 for a in range(rank)])


def standardize(x: Tensor, mean: Weight, variance: Weight, shape: tuple[int, ...], invert: bool, epsilon: float) -> Tensor:
    """Return (x - mean) / max(sqrt(variance), epsilon), or its inverse; statistics are spread to ``shape``."""
    centre = native(mean).reshape(shape)
    scale = native(variance).reshape(shape).sqrt().clamp(min=epsilon)
    return centre + x * scale if invert else (x - centre) / scale


def spectral_normalize(kernel: Weight, vector: Weight, iterations: int) -> None:
    """Divide a kernel (…, C) by its greatest singular value, found by steps of the power method from ``vector`` (1, C).

    The vector moves with it. A kernel of zeros stays, and so does the vector then. Computed in at least 32 bits.
    """
    wide = torch.promote_types(getattr(torch, kernel.dtype), torch.float32)
    before, start = uncast(kernel).detach().to(wide), uncast(vector).detach().to(wide)
    matrix = before.reshape(-1, kernel.shape[-1])
    u = start
    for _ in range(iterations):
        v = _to_unit(u @ matrix.T)
        u = _to_unit(v @ matrix)
    zero = (matrix == 0).all()
    vector.assign(torch.where(zero, start, u))
    kernel.assign(torch.where(zero, before, before / (v @ matrix @ u.T)))


def _to_unit(row: Tensor) -> Tensor:
    """Return a row divided by its length, which counts as at least 1e-7."""
    return row / row.square().sum().sqrt().clamp(min=1e-7)
