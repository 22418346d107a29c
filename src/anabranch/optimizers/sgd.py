"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import Any

import torch

from anabranch._errors import ArgumentError
from anabranch.optimizers.optimizer import Optimizer, PlainUpdate


class SGD(Optimizer):
    """w ← w - lr · g; with momentum μ: v ← μ · v - lr · g, w ← w + v (Nesterov: w ← w + μ · v - lr · g)."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if not 0 <= momentum <= 1:
            raise ArgumentError("momentum lies in [0, 1].", got=repr(momentum))
        self.momentum, self.nesterov = momentum, nesterov

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer."""
        return PlainUpdate(parameters, self.update)

    def update(self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], learning_rate: float) -> None:
        """Update one weight; the learning rate enters the velocity, unlike torch's, where it is applied afterwards."""
        if self.momentum == 0:
            w.add_(g, alpha=-learning_rate)
            return
        if not state:
            state["velocity"] = torch.zeros_like(w)
        v = state["velocity"].mul_(self.momentum).add_(g, alpha=-learning_rate)
        if self.nesterov:
            w.add_(v, alpha=self.momentum).add_(g, alpha=-learning_rate)
        else:
            w.add_(v)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
