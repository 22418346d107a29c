"""RMSprop (Tieleman & Hinton 2012)."""

from __future__ import annotations

import math
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.update import ListUpdate, Number, Part, Tensors, chunks, descend, fusible

_ONE = torch.ones((), device="cpu")  # the count of steps, which Adagrad's kernel asks for


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
        return ListUpdate(parameters, self)

    @property
    def slots(self) -> dict[str, float]:
        """The velocity, for ``centered`` the mean gradient, for ``momentum`` the gathered updates.

        The velocity is kept as c · (v + ε) with c = 1 / (1 - ρ), so that its rule is s ← ρ · s + g² + ε, which is Adagrad's
        but for the two constants.
        """
        kept = {"scaled_velocity": self._scale * self.epsilon}
        return kept | ({"mean": 0.0} if self.centered else {}) | ({"gathered": 0.0} if self.momentum > 0 else {})

    @property
    def _scale(self) -> float:
        return 1 / (1 - self.rho) if self.rho < 1 else 1.0

    def update_part(self, part: Part, rate: Number) -> None:
        """Update weights."""
        rate = rate * math.sqrt(self._scale)
        if self.centered or self.rho >= 1 or isinstance(rate, torch.Tensor) or not fusible("adagrad", part):
            for piece in chunks(part):
                self._update_lists(piece, rate)
            return
        weights, gradients, state, whole = part
        if whole is None:
            self._decay_lists(state)
        else:
            whole["scaled_velocity"].mul_(self.rho).add_(self.epsilon)
            if self.momentum > 0:
                whole["gathered"].mul_(self.momentum)
        # s ← s + g²; w ← w - rate · g / sqrt(s), or the gathered updates in the weights' place
        torch._fused_adagrad_(
            state.get("gathered", weights), gradients, state["scaled_velocity"], [_ONE] * len(weights), lr=rate, lr_decay=0.0,
            weight_decay=0.0, eps=0.0, maximize=False,
        )  # fmt: skip
        if self.momentum > 0:
            torch._foreach_add_(weights, state["gathered"])

    def _decay_lists(self, state: dict[str, Tensors]) -> None:
        torch._foreach_mul_(state["scaled_velocity"], self.rho)
        torch._foreach_add_(state["scaled_velocity"], self.epsilon * self._scale * (1 - self.rho))
        if self.momentum > 0:
            torch._foreach_mul_(state["gathered"], self.momentum)

    def _update_lists(self, part: Part, rate: Number) -> None:
        weights, gradients, state, _ = part
        self._decay_lists(state)
        velocities = state["scaled_velocity"]
        torch._foreach_addcmul_(velocities, gradients, gradients, self._scale * (1 - self.rho))
        if self.centered:
            torch._foreach_lerp_(state["mean"], gradients, 1 - self.rho)
            velocities = torch._foreach_addcmul(velocities, state["mean"], state["mean"], -self._scale)
        steps = torch._foreach_div(gradients, torch._foreach_sqrt(velocities))
        descend(state.get("gathered", weights), steps, rate)
        if self.momentum > 0:
            torch._foreach_add_(weights, state["gathered"])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return super().get_config() | own
