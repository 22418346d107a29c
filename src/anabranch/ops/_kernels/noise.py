"""Random numbers while training: dropout and noise, from a generator or, where that is None, from the process's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from anabranch.ops._types import Tensor


def dropout(
    x: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Return ``x`` with a share ``rate`` of its elements 0 and the others scaled by 1 / (1 - rate).

    ``noise_shape``: 1 where all elements along an axis share their fate, None where each has its own.
    """
    if rate == 1:
        return x * 0
    if noise_shape is None and generator is None:
        return F.dropout(x, rate, True)
    return x * _some(x, rate, noise_shape, generator).div_(1 - rate)


_ALPHA = -1.7580993408473766  # what SELU tends to: -scale · α


def alpha_dropout(
    x: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Return ``x`` with a share ``rate`` of its elements at SELU's least value, scaled so that mean and variance stay.

    ``noise_shape``: 1 where all elements along an axis share their fate, None where each has its own.
    """
    if rate == 1:
        return x * 0
    if noise_shape is None and generator is None:
        return F.alpha_dropout(x, rate, True)
    some = _some(x, rate, noise_shape, generator)
    scale = float(((1 - rate) * (1 + rate * _ALPHA**2)) ** -0.5)
    return (x * some + _ALPHA * (1 - some)) * scale - scale * _ALPHA * rate


def gaussian_noise(x: Tensor, stddev: float, generator: torch.Generator | None = None) -> Tensor:
    """Return ``x`` plus normal noise."""
    return x + _normal(x, 0.0, stddev, generator)


def gaussian_dropout(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Return ``x`` times normal noise around 1 with variance rate / (1 - rate)."""
    return x * _normal(x, 1.0, (rate / (1 - rate)) ** 0.5, generator)


def _some(
    x: Tensor, rate: float, noise_shape: Sequence[int | None] | None, generator: torch.Generator | None
) -> Tensor:  # fmt: skip
    """Return 1 for the elements that stay and 0 for a share ``rate``, in the shape of ``x`` or of ``noise_shape``."""
    if noise_shape is None:
        drawn = torch.empty_like(x)
    else:
        drawn = x.new_empty([x.shape[axis] if size is None else size for axis, size in enumerate(noise_shape)])
    return drawn.bernoulli_(1 - rate, **drawn_from(generator))


def _normal(x: Tensor, mean: float, stddev: float, generator: torch.Generator | None) -> Tensor:
    return torch.empty_like(x).normal_(mean, stddev, **drawn_from(generator))


def drawn_from(generator: torch.Generator | None) -> dict[str, torch.Generator]:
    """Return the argument that says where numbers are drawn from; none means the process's generator."""
    return {} if generator is None else {"generator": generator}
