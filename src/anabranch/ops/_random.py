"""Random numbers while training: dropout and noise. A layer with a seed draws from a generator of its own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def dropout(
    x: Any, rate: float, noise_shape: tuple[int | None, ...] | None = None, generator: torch.Generator | None = None
) -> Any:
    """Return ``x`` with a share ``rate`` of its elements 0 and the others scaled by 1 / (1 - rate).

    ``noise_shape``: 1 where all elements along an axis share their fate, None where each has its own.
    """
    if noise_shape is None and generator is None:
        return F.dropout(x, rate, True)
    rank = len(noise_shape) if noise_shape is not None else x.dim()
    wanted = noise_shape or (None,) * rank
    shape = [x.shape[axis] if size is None else size for axis, size in enumerate(wanted)]
    if rate == 1:
        return x * 0
    options = {} if generator is None else {"generator": generator}
    return x * x.new_empty(shape).bernoulli_(1 - rate, **options).div(1 - rate)


def gaussian_noise(x: Any, stddev: float, generator: torch.Generator | None = None) -> Any:
    """Return ``x`` plus normal noise."""
    return x + _normal(x, 0.0, stddev, generator)


def gaussian_dropout(x: Any, rate: float, generator: torch.Generator | None = None) -> Any:
    """Return ``x`` times normal noise around 1 with variance rate / (1 - rate)."""
    return x * _normal(x, 1.0, (rate / (1 - rate)) ** 0.5, generator)


def _normal(x: Any, mean: float, stddev: float, generator: torch.Generator | None) -> Any:
    options = {} if generator is None else {"generator": generator}
    return torch.empty_like(x).normal_(mean, stddev, **options)
