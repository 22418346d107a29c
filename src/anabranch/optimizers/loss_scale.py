"""Loss scaling: gradients in float16 are kept from vanishing, and steps whose gradients overflow are left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import Weight
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.update import ListUpdate


class LossScaleOptimizer(Optimizer):
    """Multiply the loss by a scale before its gradients are taken, and divide these by it (Micikevicius et al. 2018, §3.2).

    After ``dynamic_growth_steps`` steps with finite gradients the scale doubles; where one is infinite or NaN it is halved, and
    weights and state stay as they were. On a CPU such a step is not counted. On other devices the host does not wait to hear of
    it: the update is computed, and its result chosen on the device; the step is counted. ``compile`` wraps the optimizer of a
    model with ``mixed_float16`` layers in this by itself, unless ``auto_scale_loss=False``.

    Args:
        inner_optimizer: what updates the weights.
        initial_scale: the first scale.
        dynamic_growth_steps: how many finite steps in a row double it.
        name: the optimizer's name.
    """

    inner_optimizer: Optimizer

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise ArgumentTypeError(
                "A LossScaleOptimizer is made of another optimizer.",
                expected="e.g. optimizers.Adam()",
                got=repr(inner_optimizer),
            )
        if not initial_scale > 0 or dynamic_growth_steps < 1:
            raise ArgumentError(
                "A loss scale and the steps it grows after are positive.", got=f"{initial_scale!r}, {dynamic_growth_steps!r}"
            )
        self.inner_optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = float(initial_scale), dynamic_growth_steps
        self.name = name or "loss_scale_optimizer"
        self._scale = torch.tensor(self.initial_scale)
        self._finite_steps = torch.zeros((), dtype=torch.int32)

    def __getattr__(self, name: str) -> Any:
        if name == "inner_optimizer":  # not made yet, as while it is copied
            raise AttributeError(name)
        return getattr(self.inner_optimizer, name)

    @property
    def dynamic_scale(self) -> float:
        """The scale of the next step; reads the device."""
        return float(self._scale)

    @property
    def learning_rate(self) -> float:
        """The inner optimizer's learning rate."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> int:  # type: ignore[override]  # here it is the inner optimizer's
        """How many updates there were."""
        return self.inner_optimizer.iterations

    @iterations.setter
    def iterations(self, value: int) -> None:
        self.inner_optimizer.iterations = value

    @property
    def capturable(self) -> bool:
        """False: what a step does depends on its gradients."""
        return False

    def build(self, weights: Sequence[Weight]) -> None:
        """Take charge of ``weights``."""
        self.inner_optimizer.build(weights)
        if weights:
            device = weights[0].value.device
            self._scale, self._finite_steps = self._scale.to(device), self._finite_steps.to(device)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the decay."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss times the scale."""
        return loss * self._scale

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.inner_optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights from their scaled gradients, unless one of these is not finite; then adjust the scale."""
        inner = self.inner_optimizer
        if inner.gradient_accumulation_steps and not inner._gather(inner.gradient_accumulation_steps):
            return
        gradients = [parameter.grad for parameter in inner._parameters if parameter.grad is not None]
        found = torch.zeros(1, device=self._scale.device)
        if gradients:
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, self._scale.reciprocal())
        if self._chosen_on_host():
            if not found:
                _update(inner)
        else:
            self._update_where_finite(found.bool())
        torch._amp_update_scale_(self._scale, self._finite_steps, found, 2.0, 0.5, self.dynamic_growth_steps)

    def _chosen_on_host(self) -> bool:
        """Return whether to look at the gradients before the update: where looking costs nothing, or state is not all known."""
        inner = self.inner_optimizer
        return self._scale.device.type == "cpu" or inner.use_ema or not isinstance(inner._engine, ListUpdate)

    def _update_where_finite(self, found: torch.Tensor) -> None:
        """Update, and put back what was there where ``found`` is true, all on the device."""
        inner = self.inner_optimizer
        engine: Any = inner._engine
        kept = [*inner._parameters, *engine.state_tensors()]
        before = [tensor.clone() for tensor in kept]
        _update(inner)
        for tensor, old in zip(kept, before, strict=True):
            tensor.copy_(torch.where(found, old, tensor))

    def finalize(self) -> None:
        """Put the moving average in the weights' place where there is one."""
        self.inner_optimizer.finalize()

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state, the scale and the count of finite steps."""
        return {
            "inner": self.inner_optimizer.state_dict(), "scale": self.dynamic_scale, "finite_steps": int(self._finite_steps)
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set what ``state_dict`` gave."""
        self.inner_optimizer.load_state_dict(state["inner"])
        self._scale.fill_(state["scale"])
        self._finite_steps.fill_(state["finite_steps"])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        inner = self.inner_optimizer
        return {
            "inner_optimizer": {"class_name": type(inner).__name__, "config": inner.get_config()},
            "initial_scale": self.initial_scale, "dynamic_growth_steps": self.dynamic_growth_steps, "name": self.name,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LossScaleOptimizer:
        """Make one from what ``get_config`` gave, its inner optimizer made already; ``deserialize`` does both."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<LossScaleOptimizer of {self.inner_optimizer!r}>"


def _update(inner: Optimizer) -> None:
    inner.prepare()
    inner.update()
    inner.iterations += 1


__all__ = ["LossScaleOptimizer"]
