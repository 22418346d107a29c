"""LAMB (You et al. 2020): Adam for large batches, whose steps are as long as the weights."""

from __future__ import annotations

import math

import torch

from anabranch._fields import Field, number
from anabranch.optimizers.adam import move_moments
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks, descend
from anabranch.optimizers.variables import Slot


class Lamb(Optimizer):
    """Scale each weight's step of Adam to the norm of the weight (You et al. 2020, Algorithm 2).

    m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; u = m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + ε);
    w ← w - lr · ‖w‖ / ‖u‖ · u, where a norm of 0 counts as that of the other.

    Example:
        >>> Lamb(0.01)
        Lamb(learning_rate=0.01)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    beta_1: Field[float, float] = number(default=0.9, least=0, below=1, doc="β₁, the decay of the mean gradient.")
    beta_2: Field[float, float] = number(default=0.999, least=0, below=1, doc="β₂, the decay of the mean square.")
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc="ε, which bounds the divisor from below.")

    @property
    def slots(self) -> dict[str, float]:
        """Both moments."""
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("exp_avg", "momentum"), Slot("exp_avg_sq", "velocity")]]

    def further_numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """Return the corrections of the mean and of the root."""
        return 1 / (1 - self.beta_1**step), 1 / math.sqrt(1 - self.beta_2**step)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        of_mean, of_root = self.further
        for weights, gradients, state, _ in chunks(lists):
            means, roots = move_moments(gradients, state, self.beta_1, self.beta_2)
            torch._foreach_mul_(roots, of_root)
            torch._foreach_add_(roots, self.epsilon)
            steps = list(torch._foreach_mul(means, of_mean))
            torch._foreach_div_(steps, roots)
            lengths, norms = torch.stack(torch._foreach_norm(weights)), torch.stack(torch._foreach_norm(steps))
            ratios = torch.where((lengths > 0) & (norms > 0), lengths / norms, 1.0)
            torch._foreach_mul_(steps, ratios.unbind())
            descend(weights, steps, rate)
