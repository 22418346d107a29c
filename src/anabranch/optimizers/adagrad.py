"""Adagrad (Duchi et al. 2011) and Adadelta (Zeiler 2012): steps divided by what the squares of the gradients come to."""

from __future__ import annotations

import torch

from anabranch._fields import Field, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, Tensors, chunks, descend
from anabranch.optimizers.variables import Slot

EPSILON_DOC = "ε, which bounds the divisor from below; it is inside the root."


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of its squares (Duchi et al. 2011, §1.3).

    s ← s + g²; w ← w - lr · g / sqrt(s + ε).

    Example:
        >>> Adagrad(0.01, initial_accumulator_value=0.5)
        Adagrad(learning_rate=0.01, initial_accumulator_value=0.5)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    initial_accumulator_value: Field[float, float] = number(default=0.1, least=0, doc="what the sum of squares begins with.")
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc=EPSILON_DOC)

    @property
    def slots(self) -> dict[str, float]:
        """The sum of squares."""
        return {"accumulator": self.initial_accumulator_value}

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        for weights, gradients, state, _ in chunks(lists):
            sums = state["accumulator"]
            torch._foreach_addcmul_(sums, gradients, gradients, 1.0)
            descend(weights, torch._foreach_div(gradients, _roots(sums, self.epsilon)), rate)


class Adadelta(Optimizer):
    """Scale the gradient by the ratio of mean updates and mean gradients (Zeiler 2012, Algorithm 1).

    s ← ρ · s + (1 - ρ) · g²; u = g · sqrt(d + ε) / sqrt(s + ε); d ← ρ · d + (1 - ρ) · u²; w ← w - lr · u.

    Example:
        >>> Adadelta(1.0, rho=0.9)
        Adadelta(learning_rate=1.0, rho=0.9)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    rho: Field[float, float] = number(default=0.95, least=0, most=1, doc="ρ, the decay of both means.")
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc=EPSILON_DOC)

    @property
    def slots(self) -> dict[str, float]:
        """The mean squares of gradients and of updates."""
        return {"mean_square": 0.0, "mean_update": 0.0}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("mean_square", "accumulated_grad"), Slot("mean_update", "accumulated_delta_var")]]

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        for weights, gradients, state, _ in chunks(lists):
            squares, updates = state["mean_square"], state["mean_update"]
            torch._foreach_mul_(squares, self.rho)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.rho)
            steps = torch._foreach_mul(gradients, _roots(updates, self.epsilon))
            torch._foreach_div_(steps, _roots(squares, self.epsilon))
            torch._foreach_mul_(updates, self.rho)
            torch._foreach_addcmul_(updates, steps, steps, 1 - self.rho)
            descend(weights, steps, rate)


def _roots(squares: Tensors, epsilon: float) -> list[torch.Tensor]:
    """Return sqrt(s + ε) of each."""
    roots: list[torch.Tensor] = list(torch._foreach_add(squares, epsilon))
    torch._foreach_sqrt_(roots)
    return roots
