"""Schedule-free AdamW (Defazio et al. 2024): an average of the weights in the place of a schedule."""

from __future__ import annotations

import math

import torch

from anabranch._fields import Field, integer, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, Slots, chunks, descend
from anabranch.optimizers.variables import Slot


class ScheduleFreeAdamW(Optimizer):
    """Go down from weights between those that Adam's steps reach and their average (Defazio et al. 2024, Algorithm 1).

    v ← β₂ v + (1 - β₂) g²; z ← z - lr · g / (sqrt(v / (1 - β₂ᵗ)) + ε); x ← (1 - 1/t) x + z / t; w = (1 - β₁) z + β₁ x.
    As in Keras, the weights of a trained model are w.

    Example:
        >>> ScheduleFreeAdamW(warmup_steps=100)
        ScheduleFreeAdamW(warmup_steps=100)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.0025)
    beta_1: Field[float, float] = number(default=0.9, above=0, below=1, doc="β₁, what the average counts in the weights.")
    beta_2: Field[float, float] = number(default=0.999, least=0, below=1, doc="β₂, the decay of the mean square.")
    epsilon: Field[float, float] = number(default=1e-8, least=0, doc="ε, which bounds the divisor from below.")
    warmup_steps: Field[int, int] = integer(
        default=0, least=0, doc="in how many updates the step grows to the learning rate; 0 for none."
    )

    @property
    def slots(self) -> Slots:
        """What the steps reach, which begins as the weights, and the mean square."""
        return {"reached": None, "exp_avg_sq": 0.0}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("reached", "momentum"), Slot("exp_avg_sq", "velocity")]]

    def step_size(self, learning_rate: float, step: int) -> float:
        """Return the learning rate, less while it warms up."""
        return learning_rate * min(step / self.warmup_steps, 1.0) if self.warmup_steps else learning_rate

    def further_numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """Return the correction of the root, and what weights, z before, z after its step count in the new weights."""
        share = 1 / step
        return (
            1 / math.sqrt(1 - self.beta_2**step), 1 - share, (1 - share) * (self.beta_1 - 1), 1 - self.beta_1 * (1 - share),
        )  # fmt: skip

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        correction, of_weight, of_before, of_after = self.further
        for weights, gradients, state, _ in chunks(lists):
            reached, squares = state["reached"], state["exp_avg_sq"]
            torch._foreach_mul_(squares, self.beta_2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.beta_2)
            roots = list(torch._foreach_sqrt(squares))
            torch._foreach_mul_(roots, correction)
            torch._foreach_add_(roots, self.epsilon)
            torch._foreach_mul_(weights, of_weight)
            torch._foreach_add_(weights, torch._foreach_mul(reached, of_before))
            descend(reached, torch._foreach_div(gradients, roots), rate)
            torch._foreach_add_(weights, torch._foreach_mul(reached, of_after))
