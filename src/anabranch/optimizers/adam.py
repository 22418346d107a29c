"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019)."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.update import ListUpdate, Number, Part, chunks, descend, fusible


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; w ← w - lr · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + ε).

    ε is the paper's ε̂, as in Keras.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer."""
        return ListUpdate(parameters, self)

    @property
    def slots(self) -> dict[str, float]:
        """Both moments; for ``amsgrad`` the greatest second one."""
        return dict.fromkeys(("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if self.amsgrad else ())), 0.0)

    def step_size(self, learning_rate: float) -> float:
        """Return the learning rate with the corrections of both moments, by the optimizer's count, as in Keras."""
        step = self.iterations + 1
        return learning_rate * math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)

    def update_part(self, part: Part, rate: Number) -> None:
        """Update weights; ``rate`` holds the corrections of both moments."""
        if fusible("adam", part):
            state = part.state
            # Torch corrects too, and adds ε after that; where the count of steps is infinite its corrections are 1.
            count = _endless(part.weights[0].device)
            torch._fused_adam_(
                part.weights, part.gradients, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq", []),
                [count] * len(part.weights), lr=rate, beta1=self.beta_1, beta2=self.beta_2, eps=self.epsilon,
                amsgrad=self.amsgrad, weight_decay=0.0, maximize=False,
            )  # fmt: skip
            return
        for piece in chunks(part):
            self._update_lists(piece, rate)

    def _update_lists(self, part: Part, rate: Number) -> None:
        weights, gradients, state, _ = part
        moments, squares = state["exp_avg"], state["exp_avg_sq"]
        torch._foreach_lerp_(moments, gradients, 1 - self.beta_1)
        torch._foreach_mul_(squares, self.beta_2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.beta_2)
        if self.amsgrad:
            torch._foreach_maximum_(state["max_exp_avg_sq"], squares)
            squares = state["max_exp_avg_sq"]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, self.epsilon)
        descend(weights, torch._foreach_div(moments, roots), rate)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return super().get_config() | own


@functools.cache
def _endless(device: torch.device) -> torch.Tensor:
    return torch.full((), math.inf, device=device)


class AdamW(Adam):
    """Adam whose weights decay on their own: w ← w · (1 - lr · weight_decay) before each update."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum, ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
