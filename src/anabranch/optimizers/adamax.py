"""Adamax (Kingma & Ba 2015): Adam with the greatest gradient in the place of the mean square."""

from __future__ import annotations

import torch

from anabranch._fields import Field, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks, descend
from anabranch.optimizers.variables import Slot


class Adamax(Optimizer):
    """Divide a mean of the gradients by their decaying maximum (Kingma & Ba 2015, Algorithm 2).

    m ← β₁ m + (1 - β₁) g; u ← max(β₂ u, |g|); w ← w - lr / (1 - β₁ᵗ) · m / (u + ε).

    Example:
        >>> Adamax(0.002)
        Adamax(learning_rate=0.002)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    beta_1: Field[float, float] = number(default=0.9, least=0, below=1, doc="β₁, the decay of the mean gradient.")
    beta_2: Field[float, float] = number(default=0.999, least=0, below=1, doc="β₂, the decay of the maximum.")
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc="ε, which bounds the divisor from below.")

    @property
    def slots(self) -> dict[str, float]:
        """The mean gradient and the maximum."""
        return {"exp_avg": 0.0, "norm": 0.0}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("exp_avg", "momentum"), Slot("norm", "norm")]]

    def step_size(self, learning_rate: float, step: int) -> float:
        """Return the learning rate with the correction of the mean."""
        return learning_rate / (1 - self.beta_1**step)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place; ``rate`` holds the correction of the mean."""
        for weights, gradients, state, _ in chunks(lists):
            means, norms = state["exp_avg"], state["norm"]
            torch._foreach_lerp_(means, gradients, 1 - self.beta_1)
            torch._foreach_mul_(norms, self.beta_2)
            torch._foreach_maximum_(norms, torch._foreach_abs(gradients))
            descend(weights, torch._foreach_div(means, torch._foreach_add(norms, self.epsilon)), rate)
