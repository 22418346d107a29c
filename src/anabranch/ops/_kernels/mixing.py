"""Values of a batch mixed with each other: orders, weights, blends."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from anabranch.ops._kernels.image import drawn
from anabranch.ops._types import Tensor


def shuffled(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the indices of a batch in a random order."""
    return drawn(x, (), 0.0, 1.0, generator).argsort()


def beta(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return draws from Beta(α, α), as the fraction of one Gamma draw of two."""
    both = gamma(torch.stack((alpha, alpha), -1), generator)
    return both[..., 0] / both.sum(-1)


def gamma(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return draws from Gamma(α, 1), none of them 0."""
    return torch._standard_gamma(alpha, generator=generator).clamp(min=1e-30)


def mixed(x: Tensor, weight: Tensor, order: Tensor) -> Tensor:
    """Return w · x + (1 - w) · x in another order, with a weight (B,) of each."""
    own, others = x.movedim(0, -1), x.index_select(0, order.long()).movedim(0, -1)
    return torch.lerp(others, own, weight.to(x.dtype).flatten()).movedim(-1, 0)


def pasted(x: Tensor, where: Tensor, order: Tensor) -> Tensor:
    """Return images, in some places those in another order."""
    return torch.where(where, x.index_select(0, order.long()), x)


def with_others(x: Tensor, order: Tensor) -> Tensor:
    """Return what each of a batch has, followed by what another has, along axis 1."""
    return torch.cat((x, x.index_select(0, order.long())), 1)


def fractions(x: Tensor, count: int, alpha: float, generator: torch.Generator | None = None) -> Tensor:
    """Return for each image ``count`` fractions that sum to 1, from a Dirichlet distribution."""
    parts = gamma(drawn(x, (count,), 0.0, 1.0, generator) * 0 + alpha, generator)
    return parts / parts.sum(-1, keepdim=True)


def indices_drawn(x: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return a random index below ``count`` for each image."""
    return (drawn(x, (), 0.0, 1.0, generator) * count).long().clamp(max=count - 1)


def boxes_to(x: Tensor, count: int, value: float) -> Tensor:
    """Return the first ``count`` along axis 1, filled up with a value."""
    return F.pad(x.movedim(1, -1), (0, count - x.shape[1]), value=value).movedim(-1, 1)
