"""Activations that layers call with options of their own; all others are in ``ops/activation.py``."""

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


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x above 0, alpha · (exp(x) - 1) below."""
    return F.elu(x, alpha)
