"""Random numbers while training: dropout, noise, and the generators that layers with a seed of their own keep."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def dropout(x: Any, rate: float) -> Any:
    """Return ``x`` with a share ``rate`` of its elements 0 and the others scaled by 1 / (1 - rate)."""
    return F.dropout(x, rate, True)


def normal_like(x: Any, stddev: float) -> Any:
    """Return normal noise of the shape of ``x``."""
    return torch.randn_like(x) * stddev
