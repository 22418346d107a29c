"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import Any

import torch

from anabranch._errors import ArgumentError
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.update import ListUpdate, Number, Part, chunks, descend, fusible


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
        return ListUpdate(parameters, self)

    @property
    def slots(self) -> dict[str, float]:
        """The velocity, with its sign changed."""
        return {"descent": 0.0} if self.momentum else {}

    def update_part(self, part: Part, rate: Number) -> None:
        """Update weights; the learning rate enters the velocity, unlike torch's, where it is applied afterwards."""
        if not fusible("sgd", part) or (self.momentum and isinstance(rate, torch.Tensor)):
            for piece in chunks(part):
                self._update_lists(piece, rate)
            return
        if self.momentum:
            # d ← μ · d + (1 - dampening) · g; w ← w - lr · d, where Nesterov's d has a share of μ
            torch._fused_sgd_(
                part.weights, part.gradients, part.state["descent"], momentum=self.momentum, dampening=1 - rate,
                lr=self.momentum if self.nesterov else 1.0, weight_decay=0.0, nesterov=False, maximize=False,
                is_first_step=False,
            )  # fmt: skip
        if not self.momentum or self.nesterov:
            torch._fused_sgd_(
                part.weights, part.gradients, [], momentum=0.0, dampening=0.0, lr=rate, weight_decay=0.0, nesterov=False,
                maximize=False, is_first_step=False,
            )  # fmt: skip

    def _update_lists(self, part: Part, rate: Number) -> None:
        weights, gradients, state, _ = part
        if not self.momentum:
            descend(weights, gradients, rate)
            return
        descents = state["descent"]
        torch._foreach_mul_(descents, self.momentum)
        descend(descents, gradients, -rate)
        descend(weights, descents, self.momentum if self.nesterov else 1.0)
        if self.nesterov:
            descend(weights, gradients, rate)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
