"""The update itself: by a rule of ours over lists of weights, or by an optimizer of torch's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anabranch.optimizers.parts.step import Step
from anabranch.optimizers.update import ListUpdate


@dataclass(frozen=True)
class ByLists:
    """Update all weights in a few calls."""

    engine: ListUpdate

    def __call__(self, step: Step) -> None:
        """Update in place."""
        self.engine.update(step.gradients, step.size)


@dataclass(frozen=True)
class ByTorch:
    """Let an optimizer of torch's update, with our learning rate."""

    engine: torch.optim.Optimizer

    def __call__(self, step: Step) -> None:
        """Update in place."""
        for group in self.engine.param_groups:
            group["lr"] = step.rate
        self.engine.step()
