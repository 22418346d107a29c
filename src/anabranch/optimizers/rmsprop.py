"""RMSprop (Tieleman & Hinton 2012)."""

from __future__ import annotations

import math
from typing import Any

import torch

from anabranch._fields import Field, boolean, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, ListUpdate, Number, Tensors, chunks, descend, fusible
from anabranch.optimizers.variables import Slot

_ONE = torch.ones((), device="cpu")  # the count of steps, which Adagrad's kernel asks for


class RMSprop(Optimizer):
    """Divide the gradient by the root of a mean of its squares (Tieleman & Hinton 2012, lecture 6.5).

    v ← ρ · v + (1 - ρ) · g²; w ← w - lr · g / sqrt(v + ε). As in Keras, ε is inside the root; torch's is outside, which is
    another optimizer where gradients are small.

    Example:
        >>> RMSprop(momentum=0.9)
        RMSprop(momentum=0.9)
    """

    _joins_ = True

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    rho: Field[float, float] = number(default=0.9, least=0, most=1, doc="ρ, the decay of the mean square.")
    momentum: Field[float, float] = number(
        default=0.0, least=0, most=1, doc="how much of the last update is added to the next."
    )
    epsilon: Field[float, float] = number(default=1e-7, least=0, doc="ε, which bounds the divisor from below.")
    centered: Field[bool, bool] = boolean(
        default=False, doc="whether the square of the mean gradient is subtracted from v, which makes it a variance."
    )

    @property
    def slots(self) -> dict[str, float]:
        """The mean square, for ``centered`` the mean gradient, for ``momentum`` the accumulated updates.

        The mean square is saved as c · (v + ε) with c = 1 / (1 - ρ), so that its rule is s ← ρ · s + g² + ε, which is
        Adagrad's but for the two constants. A variance may be smaller than the rounding of v + ε: there it is v.
        """
        scale, offset = self._form()
        found = {"scaled_velocity": scale * offset}
        return found | ({"mean": 0.0} if self.centered else {}) | ({"gathered": 0.0} if self.momentum > 0 else {})

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        scale, offset = self._form()
        return [
            [Slot("scaled_velocity", "velocity", 1 / scale, -offset)], [Slot("gathered", "momentum", -1.0)],
            [Slot("mean", "average_gradient")],
        ]  # fmt: skip

    def _form(self) -> tuple[float, float]:
        return _form(self.rho, self.epsilon, self.centered)

    def _changing_(self, changed: Field[Any, Any], value: Any) -> None:
        """Let the state mean the same under other constants."""
        super()._changing_(changed, value)
        if changed.name not in ("rho", "epsilon", "centered") or not isinstance(self._engine_, ListUpdate):
            return
        new = {"rho": self.rho, "epsilon": self.epsilon, "centered": self.centered, changed.name: value}
        (scale, offset), (new_scale, new_offset) = self._form(), _form(**new)
        for scaled in self._engine_.slot("scaled_velocity"):
            scaled.div_(scale).add_(new_offset - offset).mul_(new_scale)

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        rate = rate * math.sqrt(self._form()[0])
        if self.centered or self.rho >= 1 or isinstance(rate, torch.Tensor) or not fusible("adagrad", lists):
            for piece in chunks(lists):
                self._update_piece(piece, rate)
            return
        weights, gradients, state, whole = lists
        if whole is None:
            self._decay_state(state)
        else:
            whole["scaled_velocity"].mul_(self.rho).add_(self.epsilon)
            if self.momentum > 0:
                whole["gathered"].mul_(self.momentum)
        # s ← s + g²; w ← w - rate · g / sqrt(s), or the accumulated updates in the weights' place
        torch._fused_adagrad_(
            state.get("gathered", weights), gradients, state["scaled_velocity"], [_ONE] * len(weights), lr=rate, lr_decay=0.0,
            weight_decay=0.0, eps=0.0, maximize=False,
        )  # fmt: skip
        if self.momentum > 0:
            torch._foreach_add_(weights, state["gathered"])

    def _decay_state(self, state: dict[str, Tensors]) -> None:
        scale, offset = self._form()
        torch._foreach_mul_(state["scaled_velocity"], self.rho)
        if offset:
            torch._foreach_add_(state["scaled_velocity"], offset * scale * (1 - self.rho))
        if self.momentum > 0:
            torch._foreach_mul_(state["gathered"], self.momentum)

    def _update_piece(self, lists: Lists, rate: Number) -> None:
        weights, gradients, state, _ = lists
        self._decay_state(state)
        scale, _ = self._form()
        velocities = state["scaled_velocity"]
        torch._foreach_addcmul_(velocities, gradients, gradients, scale * (1 - self.rho))
        if self.centered:
            torch._foreach_lerp_(state["mean"], gradients, 1 - self.rho)
            velocities = torch._foreach_addcmul(velocities, state["mean"], state["mean"], -1.0)
            torch._foreach_add_(velocities, self.epsilon)
        steps = torch._foreach_div(gradients, torch._foreach_sqrt(velocities))
        descend(state.get("gathered", weights), steps, rate)
        if self.momentum > 0:
            torch._foreach_add_(weights, state["gathered"])


def _form(rho: float, epsilon: float, centered: bool) -> tuple[float, float]:
    """Return how many times v is saved, and how much more than v each time."""
    return (1.0, 0.0) if centered else (1 / (1 - rho) if rho < 1 else 1.0, epsilon)
