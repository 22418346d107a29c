"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019)."""

from __future__ import annotations

import math
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer, PlainUpdate


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
        """Return torch's fused Adam on CUDA, else one parameter after the other; both keep state under the same names."""
        if parameters[0].is_cuda and not self.amsgrad:
            return self.fused(parameters)
        return PlainUpdate(parameters, self.update)

    def fused(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's fused Adam."""
        return torch.optim.Adam(parameters, lr=0.0, betas=(self.beta_1, self.beta_2), eps=self.epsilon, fused=True)

    def before_update(self, engine: torch.optim.Optimizer) -> None:
        """Work out the step size; for torch's kernel also its ε, which is added after the correction of v."""
        step = self.iterations + 1
        correction = math.sqrt(1 - self.beta_2**step)
        for group in engine.param_groups:
            if isinstance(engine, torch.optim.Adam):
                group["eps"] = self.epsilon / correction
                self._count_as_all(engine, group["params"])
            else:
                group["lr"] *= correction / (1 - self.beta_1**step)

    def _count_as_all(self, engine: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        """Let weights that join later be corrected by the optimizer's count, as in Keras, not by their own."""
        for p in parameters:
            state = engine.state[p]
            if "step" not in state:
                state["step"] = torch.full((), float(self.iterations), device=p.device)
                state.setdefault("exp_avg", torch.zeros_like(p))
                state.setdefault("exp_avg_sq", torch.zeros_like(p))

    def update(self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], learning_rate: float) -> None:
        """Update one weight; ``learning_rate`` holds the corrections of both moments."""
        if not state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(w), torch.zeros_like(w)
        m = state["exp_avg"].lerp_(g, 1 - self.beta_1)
        v = state["exp_avg_sq"].mul_(self.beta_2).addcmul_(g, g, value=1 - self.beta_2)
        if self.amsgrad:
            if "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = torch.zeros_like(w)
            v = torch.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        w.addcdiv_(m, v.sqrt().add_(self.epsilon), value=-learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return super().get_config() | own


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
