"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013)."""

from __future__ import annotations

import torch

from anabranch._fields import Field, boolean, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks, descend, fusible
from anabranch.optimizers.variables import Slot


class SGD(Optimizer):
    """Go down the gradient: w ← w - lr · g.

    With momentum μ (Polyak 1964): v ← μ · v - lr · g, w ← w + v; with Nesterov's (Sutskever et al. 2013, §2.1):
    w ← w + μ · v - lr · g.

    Example:
        >>> SGD(0.1, momentum=0.9)
        SGD(learning_rate=0.1, momentum=0.9)
    """

    _joins_ = True

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.01)
    momentum: Field[float, float] = number(default=0.0, least=0, most=1, doc="μ, how much of the velocity stays.")
    nesterov: Field[bool, bool] = boolean(default=False, doc="whether the momentum is Nesterov's.")

    @property
    def slots(self) -> dict[str, float]:
        """The velocity, with its sign changed."""
        return {"descent": 0.0} if self.momentum else {}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("descent", "momentum", -1.0)]]

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place; the learning rate enters the velocity, unlike torch's, where it is applied afterwards."""
        if not fusible("sgd", lists):
            for piece in chunks(lists):
                self._update_piece(piece, rate)
            return
        if self.momentum and isinstance(rate, torch.Tensor):  # the dampening cannot be on the device
            torch._fused_sgd_(
                lists.weights, torch._foreach_mul(lists.gradients, rate), lists.state["descent"], momentum=self.momentum,
                dampening=0.0, lr=1.0, weight_decay=0.0, nesterov=self.nesterov, maximize=False, is_first_step=False,
            )  # fmt: skip
            return
        if self.momentum:
            # d ← μ · d + (1 - dampening) · g; w ← w - lr · d, where Nesterov's d counts μ times
            torch._fused_sgd_(
                lists.weights, lists.gradients, lists.state["descent"], momentum=self.momentum, dampening=1 - float(rate),
                lr=self.momentum if self.nesterov else 1.0, weight_decay=0.0, nesterov=False, maximize=False,
                is_first_step=False,
            )  # fmt: skip
        if not self.momentum or self.nesterov:
            torch._fused_sgd_(
                lists.weights, lists.gradients, [], momentum=0.0, dampening=0.0, lr=rate, weight_decay=0.0, nesterov=False,
                maximize=False, is_first_step=False,
            )  # fmt: skip

    def _update_piece(self, lists: Lists, rate: Number) -> None:
        weights, gradients, state, _ = lists
        if not self.momentum:
            descend(weights, gradients, rate)
            return
        descents = state["descent"]
        torch._foreach_mul_(descents, self.momentum)
        descend(descents, gradients, -rate)
        descend(weights, descents, self.momentum if self.nesterov else 1.0)
        if self.nesterov:
            descend(weights, gradients, rate)
