"""Activations inside of kernels, their slopes, and both in plain torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

NAMES = ("none", "relu", "relu6", "silu", "gelu")

_ROOT_HALF = tl.constexpr(math.sqrt(0.5))
_DENSITY = tl.constexpr(1 / math.sqrt(2 * math.pi))


@triton.jit
def activate(z: tl.tensor, ACTIVATION: tl.constexpr) -> tl.tensor:
    """Return an activation of float32 values; NaN stays NaN."""
    if ACTIVATION == "relu":
        z = tl.where(z < 0, 0.0, z)
    elif ACTIVATION == "relu6":
        z = tl.where(z < 0, 0.0, tl.where(z > 6, 6.0, z))
    elif ACTIVATION == "silu":
        z = z * tl.sigmoid(z)
    elif ACTIVATION == "gelu":
        z = z * 0.5 * (1 + tl.erf(z * _ROOT_HALF))
    return z


@triton.jit
def through(gradient: tl.tensor, value: tl.tensor, ACTIVATION: tl.constexpr) -> tl.tensor:
    """Return the gradient before an activation; ``value`` is its result for those of BY_RESULT, else what it takes."""
    if ACTIVATION == "relu":
        gradient = tl.where(value <= 0, 0.0, gradient)
    elif ACTIVATION == "relu6":
        gradient = tl.where((value <= 0) | (value >= 6), 0.0, gradient)
    elif ACTIVATION == "silu":
        s = tl.sigmoid(value)
        gradient = gradient * s * (1 + value * (1 - s))
    elif ACTIVATION == "gelu":
        area = 0.5 * (1 + tl.erf(value * _ROOT_HALF))
        gradient = gradient * (area + value * _DENSITY * tl.exp(-0.5 * value * value))
    return gradient


def activated(z: torch.Tensor, activation: str) -> torch.Tensor:
    """Return an activation."""
    if activation == "relu":
        return z.relu()
    if activation == "relu6":
        return F.relu6(z)
    if activation == "silu":
        return F.silu(z)
    return F.gelu(z) if activation == "gelu" else z


def gradient_through(gradient: torch.Tensor, value: torch.Tensor, activation: str) -> torch.Tensor:
    """Return the gradient before an activation, as :func:`through`."""
    aten = torch.ops.aten
    if activation == "relu":
        found: torch.Tensor = aten.threshold_backward(gradient, value, 0)
    elif activation == "relu6":
        found = aten.hardtanh_backward(gradient, value, 0.0, 6.0)
    elif activation == "silu":
        found = aten.silu_backward(gradient, value)
    else:
        found = aten.gelu_backward(gradient, value) if activation == "gelu" else gradient
    return found
