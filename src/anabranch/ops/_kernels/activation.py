"""Element-wise non-linearities, and the soft ones over an axis."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from anabranch.graph import Weight
from anabranch.runtime.weights import native


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """Return x above ``threshold``, cut at ``max_value``; below it negative_slope · (x - threshold)."""
    if threshold == 0.0 and max_value is None:
        return F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    if threshold == 0.0 and max_value == 6.0 and not negative_slope:
        return F.relu6(x)
    above = x if max_value is None else x.clamp(0.0, max_value)
    return torch.where(x > threshold, above, negative_slope * (x - threshold))


def prelu(x: Any, alpha: Weight) -> Any:
    """Return x above 0, alpha · x below."""
    return torch.relu(x) - native(alpha) * torch.relu(-x)


def softmax(x: Any, axis: Any = -1) -> Any:
    """Return exp(x) / Σ exp(x) along an axis, or along several taken as one."""
    if isinstance(axis, int):
        return F.softmax(x, axis)
    return torch.exp(x - torch.logsumexp(x, tuple(axis), keepdim=True))


def masked_softmax(x: Any, axis: Any, mask: Any, lowest: float) -> Any:
    """Return the softmax over the places where ``mask`` is true, and 0 elsewhere; ``lowest`` is next to -∞ in x's type.

    A finite number, so that where everything is masked the gradient is 0 instead of NaN.
    """
    kept = mask > 0.5
    return torch.where(kept, softmax(torch.where(kept, x, lowest), axis), 0.0)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """Return the nearest point to ``x`` whose elements along ``axis`` are ≥ 0 and sum to 1."""
    ranked = torch.sort(x, axis, descending=True)[0]
    count = torch.ones_like(ranked).cumsum(axis)
    support = 1 + count * ranked > ranked.cumsum(axis)
    excess = torch.where(support, ranked, 0.0).sum(axis, True) - 1
    return torch.relu(x - excess / support.sum(axis, True))


def sparse_plus(x: Any) -> Any:
    """Return 0 below -1, x above 1, (x + 1)² / 4 between."""
    return torch.where(x >= 1, x, x.clamp(-1.0, 1.0).add(1).square() / 4)


def sparse_sigmoid(x: Any) -> Any:
    """Return (x + 1) / 2 cut to [0, 1]."""
    return (x.clamp(-1.0, 1.0) + 1) / 2


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return log softmax(x)."""
    return F.log_softmax(x, axis)


def glu(x: Any, axis: int = -1) -> Any:
    """Return a · sigmoid(b) for the halves a, b of ``x`` along ``axis``."""
    return F.glu(x, axis)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return x · Φ(x) (Hendrycks & Gimpel 2016), or its tanh approximation."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x above 0, alpha · (exp(x) - 1) below."""
    return F.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """Return max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)."""
    return F.celu(x, alpha)


def hard_sigmoid(x: Any) -> Any:
    """Return relu6(x + 3) / 6."""
    return F.hardsigmoid(x)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """Return x above ``threshold``, ``default_value`` elsewhere."""
    return F.threshold(x, threshold, default_value)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x moved towards 0 by ``threshold``, and 0 within it."""
    return F.softshrink(x, threshold)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x where abs(x) > threshold, 0 elsewhere."""
    return F.hardshrink(x, threshold)


def squareplus(x: Any, b: float = 4) -> Any:
    """Return (x + sqrt(x² + b)) / 2."""
    return (x + torch.sqrt(x * x + b)) / 2


# those that torch has under its own name, with no options of ours
sigmoid, tanh, exp = torch.sigmoid, torch.tanh, torch.exp
selu, silu, mish, softplus, softsign = F.selu, F.silu, F.mish, F.softplus, F.softsign
log_sigmoid, hard_tanh, tanh_shrink, hard_silu = F.logsigmoid, F.hardtanh, F.tanhshrink, F.hardswish
