"""Clipping gradients: by value, by each one's norm, by the norm of all; nothing is read on the host."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anabranch.optimizers.parts.step import Part, Step


@dataclass(frozen=True)
class ClipValue:
    """Clip each element: g ← min(max(g, -limit), limit)."""

    limit: float

    def __call__(self, step: Step) -> None:
        """Clip in place."""
        if gradients := step.given():
            torch._foreach_clamp_min_(gradients, -self.limit)
            torch._foreach_clamp_max_(gradients, self.limit)


@dataclass(frozen=True)
class ClipNorm:
    """Scale each gradient down to an L2 norm of at most ``limit``."""

    limit: float

    def __call__(self, step: Step) -> None:
        """Scale in place."""
        if gradients := step.given():
            torch._foreach_mul_(gradients, _factor(_norms(gradients), self.limit).unbind())


@dataclass(frozen=True)
class ClipGlobalNorm:
    """Scale all gradients by one factor so that their common L2 norm is at most ``limit`` (Pascanu et al. 2013)."""

    limit: float

    def __call__(self, step: Step) -> None:
        """Scale in place."""
        if gradients := step.given():
            torch._foreach_mul_(gradients, _factor(torch.linalg.vector_norm(_norms(gradients)), self.limit))


def clips(norm: float | None, value: float | None, global_norm: float | None) -> list[Part]:
    """Return the parts that clip to these limits; those that are None clip nothing."""
    found: list[Part] = []
    if value is not None:
        found.append(ClipValue(value))
    if norm is not None:
        found.append(ClipNorm(norm))
    if global_norm is not None:
        found.append(ClipGlobalNorm(global_norm))
    return found


def _norms(gradients: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(torch._foreach_norm(gradients))


def _factor(norm: torch.Tensor, limit: float) -> torch.Tensor:
    """Return limit / max(norm, limit), which is 1 where nothing is to be clipped."""
    return limit / norm.clamp(min=limit)
