"""Nadam (Dozat 2016): Adam with Nesterov's momentum."""

from __future__ import annotations

import functools
import math

import torch

from anabranch._fields import Field, number
from anabranch.graph import Home, Weight
from anabranch.optimizers.adam import move_moments
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks, descend
from anabranch.optimizers.variables import Slot, computed

_RISEN = 1000  # steps after which μ is β₁ in double precision


class Nadam(Optimizer):
    """Adam that looks one step of its momentum ahead (Dozat 2016, §2.2 and Algorithm 2).

    μₜ = β₁ (1 - 0.96ᵗ / 2); m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²;
    w ← w - lr · (μₜ₊₁ m / (1 - μ₁ … μₜ₊₁) + (1 - μₜ) g / (1 - μ₁ … μₜ)) / (sqrt(v / (1 - β₂ᵗ)) + ε).

    Example:
        >>> Nadam(0.002)
        Nadam(learning_rate=0.002)
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

    def _own_variables_(self, home: Home) -> list[Weight]:
        """Return the state of the weights, and the product of all μ so far."""
        product = computed("variable", (), lambda: torch.tensor(self._momenta(self._updates_)), Home(""))
        return [*super()._own_variables_(home), product]

    def _momenta(self, step: int) -> float:
        """Return μ₁ … μₜ."""
        return float(self.beta_1**step * _rise(min(step, _RISEN)))

    def further_numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """Return what the mean and the gradient count in the step, and the correction of the root."""
        now, ahead = (self.beta_1 * (1 - 0.5 * 0.96**each) for each in (step, step + 1))
        of_mean = ahead / (1 - self._momenta(step + 1))
        of_gradient = (1 - now) / (1 - self._momenta(step))
        return of_mean, of_gradient, 1 / math.sqrt(1 - self.beta_2**step)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        of_mean, of_gradient, correction = self.further
        for weights, gradients, state, _ in chunks(lists):
            means, roots = move_moments(gradients, state, self.beta_1, self.beta_2)
            torch._foreach_mul_(roots, correction)
            torch._foreach_add_(roots, self.epsilon)
            steps = list(torch._foreach_mul(means, of_mean))
            torch._foreach_add_(steps, torch._foreach_mul(gradients, of_gradient))
            torch._foreach_div_(steps, roots)
            descend(weights, steps, rate)


@functools.cache
def _rise(step: int) -> float:
    """Return the product of 1 - 0.96ᵗ / 2 up to a step."""
    return math.prod(1 - 0.5 * 0.96**each for each in range(1, step + 1))
