"""The update itself: by a rule of ours over lists of weights, weight by weight, or by an optimizer of torch's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anabranch.graph import Weight
from anabranch.optimizers.parts.step import Step
from anabranch.optimizers.update import ListUpdate, Number


@dataclass(frozen=True)
class ByLists:
    """Update all weights in a few calls."""

    engine: ListUpdate

    def __call__(self, step: Step) -> None:
        """Update in place."""
        self.engine.update(step.gradients, step.size)


@dataclass(frozen=True)
class ByWeight:
    """Update each weight by itself, as Keras's optimizers do: its gradient has the axes of the weight."""

    update: Callable[[torch.Tensor, Weight, Number], None]

    def __call__(self, step: Step) -> None:
        """Update in place."""
        for weight, gradient in zip(step.weights, step.gradients, strict=True):
            if gradient is not None:
                self.update(weight.from_native(gradient), weight, step.rate)


@dataclass(frozen=True)
class ByTorch:
    """Let an optimizer of torch's update, with our learning rate."""

    engine: torch.optim.Optimizer

    def __call__(self, step: Step) -> None:
        """Update in place."""
        for group in self.engine.param_groups:
            group["lr"] = step.rate
        self.engine.step()
