"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), by torch's own kernels."""

from __future__ import annotations

import math
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer


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
        """Return torch's Adam: fused on CUDA; one parameter after the other on a CPU, where that measured faster."""
        fused = parameters[0].is_cuda and not self.amsgrad
        return torch.optim.Adam(
            parameters, lr=0.0, betas=(self.beta_1, self.beta_2), eps=self.epsilon, amsgrad=self.amsgrad,
            fused=fused or None, foreach=None if fused else False,
        )  # fmt: skip

    def before_update(self, engine: torch.optim.Optimizer) -> None:
        """Turn the paper's ε̂ into torch's ε, which is added after the correction of v."""
        for group in engine.param_groups:
            group["eps"] = self.epsilon / math.sqrt(1 - self.beta_2 ** (self.iterations + 1))

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
