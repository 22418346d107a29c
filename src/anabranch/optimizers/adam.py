"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import torch

from anabranch._fields import Field, boolean, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.settings import DECAY_DOC
from anabranch.optimizers.update import Lists, Number, Tensors, chunks, descend, fusible
from anabranch.optimizers.variables import Slot


class Adam(Optimizer):
    """Divide a mean of the gradients by the root of a mean of their squares (Kingma & Ba 2015, Algorithm 1).

    m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; w ← w - lr · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + ε).
    As in Keras, ε is the paper's ε̂ (§2). AMSGrad: Reddi et al. 2018.

    Example:
        >>> Adam(0.01, beta_2=0.99)
        Adam(learning_rate=0.01, beta_2=0.99)
    """

    _joins_ = True

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    beta_1: Field[float, float] = number(default=0.9, least=0, below=1, doc="β₁, the decay of the mean gradient.")
    beta_2: Field[float, float] = number(default=0.999, least=0, below=1, doc="β₂, the decay of the mean square.")
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc="ε, which bounds the divisor from below.")
    amsgrad: Field[bool, bool] = boolean(default=False, doc="whether to divide by the greatest mean square so far.")

    @property
    def slots(self) -> dict[str, float]:
        """Both moments; for ``amsgrad`` the greatest second one."""
        return dict.fromkeys(("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if self.amsgrad else ())), 0.0)

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("exp_avg", "momentum"), Slot("exp_avg_sq", "velocity")], [Slot("max_exp_avg_sq", "velocity_hat")]]

    def step_size(self, learning_rate: float, step: int) -> float:
        """Return the learning rate with the corrections of both moments, by the optimizer's count, as in Keras."""
        return learning_rate * math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place; ``rate`` holds the corrections of both moments."""
        descend_by_moments(lists, rate, self.beta_1, self.beta_2, self.epsilon)


def descend_by_moments(lists: Lists, rate: Number, beta_1: float, beta_2: float, epsilon: float) -> None:
    """Update weights in place as Adam does, by the moments in ``lists``; by the greatest second ones if these are there."""
    state = lists.state
    greatest = state.get("max_exp_avg_sq", [])
    if not fusible("adam", lists):
        for weights, gradients, some, _ in chunks(lists):
            moments, roots = move_moments(gradients, some, beta_1, beta_2)
            torch._foreach_add_(roots, epsilon)
            descend(weights, torch._foreach_div(moments, roots), rate)
        return
    # Torch corrects too, and adds ε after that; where the count of steps is infinite its corrections are 1.
    count = _endless(lists.weights[0].device)
    torch._fused_adam_(  # type: ignore[misc]  # too many overloads for unions
        lists.weights, lists.gradients, state["exp_avg"], state["exp_avg_sq"], greatest, [count] * len(lists.weights),
        beta1=beta_1, beta2=beta_2, eps=epsilon, amsgrad=bool(greatest), weight_decay=0.0, maximize=False, lr=rate,  # type: ignore[arg-type]  # a float or a tensor
    )  # fmt: skip


def move_moments(
    gradients: Tensors, state: Mapping[str, Tensors], beta_1: float, beta_2: float
) -> tuple[Tensors, list[torch.Tensor]]:
    """Move both moments towards the gradients; return the first ones and the roots of the second ones."""
    moments, squares = state["exp_avg"], state["exp_avg_sq"]
    torch._foreach_lerp_(moments, gradients, 1 - beta_1)
    torch._foreach_mul_(squares, beta_2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta_2)
    if greatest := state.get("max_exp_avg_sq"):
        torch._foreach_maximum_(greatest, squares)
        squares = greatest
    roots: list[torch.Tensor] = list(torch._foreach_sqrt(squares))
    return moments, roots


@functools.cache
def _endless(device: torch.device) -> torch.Tensor:
    return torch.full((), math.inf, device=device)


class AdamW(Adam):
    """Adam with weight decay by default: w ← w · (1 - lr · weight_decay) before each update (Loshchilov & Hutter 2019).

    Example:
        >>> AdamW().weight_decay
        0.004
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    weight_decay: Field[float | None, float | None] = number(default=0.004, least=0, optional=True, kw_only=True, doc=DECAY_DOC)
