"""RMSprop (Tieleman & Hinton 2012)."""

from __future__ import annotations

from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer, PlainUpdate


class RMSprop(Optimizer):
    """v ← ρ · v + (1 - ρ) · g²; w ← w - lr · g / sqrt(v + ε).

    ε stands inside the root, as in Keras; torch's stands outside, which is another optimizer where gradients are small.
    ``centered`` subtracts the square of the mean gradient from v; ``momentum`` gathers the updates.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer."""
        return PlainUpdate(parameters, self.update)

    def update(self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], learning_rate: float) -> None:
        """Update one weight."""
        if not state:
            state.update({name: torch.zeros_like(w) for name in self._kept()})
        v = state["velocity"].mul_(self.rho).addcmul_(g, g, value=1 - self.rho)
        if self.centered:
            mean = state["mean"].lerp_(g, 1 - self.rho)
            v = v.addcmul(mean, mean, value=-1)
        root = v.add(self.epsilon).sqrt_()
        if self.momentum > 0:
            gathered = state["momentum"].mul_(self.momentum)
            w.sub_(gathered.addcdiv_(g, root, value=learning_rate))
        else:
            w.addcdiv_(g, root, value=-learning_rate)

    def _kept(self) -> list[str]:
        return ["velocity"] + ["mean"] * self.centered + ["momentum"] * (self.momentum > 0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return super().get_config() | own
