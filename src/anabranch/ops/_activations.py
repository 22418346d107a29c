"""Element-wise non-linearities and the soft ones over an axis."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def relu(x: Any) -> Any:
    """Return max(x, 0)."""
    return torch.relu(x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent."""
    return torch.tanh(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along ``axis``."""
    return F.softmax(x, axis)
