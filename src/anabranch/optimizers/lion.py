"""Lion (Chen et al. 2023): steps of one size, whose signs are those of a mean of the gradients."""

from __future__ import annotations

import torch

from anabranch._fields import Field, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks, descend


class Lion(Optimizer):
    """Go by the sign of a mean of the gradients (Chen et al. 2023, Program 1).

    w ← w - lr · sign(β₁ m + (1 - β₁) g); m ← β₂ m + (1 - β₂) g. The paper's learning rates are 3 to 10 times less than Adam's.

    Example:
        >>> Lion(1e-4, weight_decay=0.1)
        Lion(learning_rate=0.0001, weight_decay=0.1)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    beta_1: Field[float, float] = number(default=0.9, above=0, most=1, doc="β₁, the share of the mean in a step.")
    beta_2: Field[float, float] = number(default=0.99, least=0, most=1, doc="β₂, the decay of the mean gradient.")

    @property
    def slots(self) -> dict[str, float]:
        """The mean gradient."""
        return {"momentum": 0.0}

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        for weights, gradients, state, _ in chunks(lists):
            means = state["momentum"]
            steps = torch._foreach_lerp(means, gradients, 1 - self.beta_1)
            torch._foreach_sign_(steps)
            descend(weights, steps, rate)
            torch._foreach_lerp_(means, gradients, 1 - self.beta_2)
