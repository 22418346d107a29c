"""Activations that layers call with options of their own; all others are in ``ops/activation.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from anabranch.graph import Weight
from anabranch.ops._types import Tensor
from anabranch.runtime.weights import native


def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return x above ``threshold``, cut at ``max_value``; below it negative_slope · (x - threshold)."""
    if threshold == 0.0 and max_value is None:
        return F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    if threshold == 0.0 and max_value == 6.0 and not negative_slope:
        return F.relu6(x)
    above = x if max_value is None else x.clamp(0.0, max_value)
    return torch.where(x > threshold, above, negative_slope * (x - threshold))


def prelu(x: Tensor, alpha: Weight) -> Tensor:
    """Return x above 0, alpha · x below."""
    return torch.relu(x) - native(alpha) * torch.relu(-x)


def softmax(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """Return exp(x) / Σ exp(x) along an axis, or along several taken as one."""
    if isinstance(axis, int):
        return F.softmax(x, axis)
    return torch.exp(x - torch.logsumexp(x, tuple(axis), keepdim=True))


def masked_softmax(x: Tensor, axis: int | Sequence[int], mask: Tensor, lowest: float) -> Tensor:
    """Return the softmax over the positions where ``mask`` is true, and 0 elsewhere; ``lowest`` is next to -∞ in x's type.

    A finite number, so that where everything is masked the gradient is 0 instead of NaN.
    """
    counts = mask > 0.5
    return torch.where(counts, softmax(torch.where(counts, x, lowest), axis), 0.0)


def soft_capped(x: Tensor, cap: float) -> Tensor:
    """Return cap · tanh(x / cap)."""
    return torch.tanh(x / cap) * cap


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x above 0, alpha · (exp(x) - 1) below."""
    return F.elu(x, alpha)
