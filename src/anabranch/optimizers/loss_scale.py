"""Loss scaling: small gradients in float16 do not become 0, and steps whose gradients overflow are left out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch

from anabranch import registry
from anabranch._arguments import checked, guarded
from anabranch._docstrings import described
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Field, field, integer, number
from anabranch.graph import Home, Weight
from anabranch.optimizers.optimizer import Optimizer, follow
from anabranch.optimizers.update import in_line
from anabranch.optimizers.variables import held


def _inner(value: object, owner: object, name: str) -> Optimizer:
    found = registry.deserialize(value) if isinstance(value, Mapping) else value
    if not isinstance(found, Optimizer) or isinstance(found, LossScaleOptimizer):
        raise ArgumentTypeError(
            "A LossScaleOptimizer is made of another optimizer.", expected="e.g. optimizers.Adam()", got=repr(value)[:120]
        )
    return found


def _shared(name: str) -> Any:
    """Return the inner optimizer's setting of that name, to be read and set."""
    return property(
        lambda self: getattr(self.inner_optimizer, name),
        lambda self, value: setattr(self.inner_optimizer, name, value),
        doc=f"``{name}`` of the inner optimizer.",
    )


class LossScaleOptimizer(Optimizer):
    """Multiply the loss by a scale before the backward pass, and divide the gradients by it (Micikevicius et al. 2018, §3.2).

    After ``dynamic_growth_steps`` steps with finite gradients the scale doubles; where one is infinite or NaN it is halved, and
    weights and state stay as they were. On a CPU such a step is not counted. On other devices the host does not wait for the
    answer: the update is computed, and its result chosen on the device; the step is counted. ``compile`` wraps the optimizer
    of a model with ``mixed_float16`` layers in this by itself, unless ``auto_scale_loss=False``.

    Example:
        >>> from anabranch.optimizers import SGD
        >>> optimizer = LossScaleOptimizer(SGD(0.1), initial_scale=1024)
        >>> optimizer.dynamic_scale, optimizer.learning_rate
        (1024.0, 0.1)
    """

    inner_optimizer: Field[Optimizer | Mapping[str, Any], Optimizer] = field(
        convert=_inner, fixed=True, kw_only=True, doc="the optimizer that updates the weights."
    )
    initial_scale: Field[float, float] = number(default=2.0**15, above=0, doc="the scale of the first step.")
    dynamic_growth_steps: Field[int, int] = integer(default=2000, doc="how many finite steps in a row double the scale.")
    name = Optimizer.name

    learning_rate, iterations, loss_scale_factor = map(_shared, ("learning_rate", "iterations", "loss_scale_factor"))
    weight_decay, clipnorm, clipvalue = map(_shared, ("weight_decay", "clipnorm", "clipvalue"))
    global_clipnorm, gradient_accumulation_steps = map(_shared, ("global_clipnorm", "gradient_accumulation_steps"))
    use_ema, ema_momentum = map(_shared, ("use_ema", "ema_momentum"))
    ema_overwrite_frequency = _shared("ema_overwrite_frequency")

    if TYPE_CHECKING:

        def __init__(
            self,
            inner_optimizer: Optimizer | Mapping[str, Any],
            initial_scale: float = 2.0**15,
            dynamic_growth_steps: int = 2000,
            name: str | None = None,
        ) -> None: ...

    def _check_(self) -> None:
        self._begin_()

    def _begin_(self) -> None:
        self._scale = torch.tensor(float(self.initial_scale))
        self._finite_steps = torch.zeros((), dtype=torch.int32)

    def _renewed_(self) -> Self:
        """Return an optimizer of the same settings that has seen no weights."""
        new = copy.copy(self)
        vars(new)[":inner_optimizer"] = self.inner_optimizer._renewed_()
        new._begin_()
        return new

    def __getattr__(self, name: str) -> Any:
        if name.startswith((":", "__")) or name == "inner_optimizer":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.inner_optimizer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        inner = vars(self).get(":inner_optimizer")
        own = name in self._fields_ or inner is None or name not in inner._fields_
        object.__setattr__(self if own else inner, name, value)

    @property
    def dynamic_scale(self) -> float:
        """The scale of the next step; reads the device."""
        return float(self._scale)

    def _rate_now_(self) -> float:
        """Return the learning rate of the next update as a plain float."""
        return self.inner_optimizer._rate_now_()

    @property
    def variables(self) -> list[Weight]:
        """As in Keras: the iteration, a learning rate without effect, the count of finite steps, the scale, the inner ones."""
        home = Home(self.name)
        unused = held("learning_rate", torch.zeros(()), home)
        steps, scale = held("step_counter", self._finite_steps, home), held("dynamic_scale", self._scale, home)
        inner = self.inner_optimizer.variables
        return [inner[0], unused, *([steps, scale] if self.inner_optimizer.weights else []), *inner]

    @property
    def _variables_by_path_(self) -> dict[str, list[Weight]]:
        """The variables of this optimizer and of the inner one, as files have them."""
        return {"": self.variables, "inner_optimizer/": self.inner_optimizer.variables}

    @checked
    def build(self, weights: Sequence[Weight]) -> None:
        """Take charge of weights.

        Args:
            weights: the weights that ``step`` updates from now on.
        """
        follow(self.inner_optimizer, weights)
        if weights:
            device = weights[0].value.device
            self._scale, self._finite_steps = self._scale.to(device), self._finite_steps.to(device)

    @described(Optimizer.exclude_from_weight_decay)
    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    @guarded
    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss times the scale, and times the inner optimizer's ``loss_scale_factor``, by which its update divides.

        Args:
            loss: the loss of one batch.
        """
        return super().scale_loss(loss) * self._scale

    def zero_grad(self) -> None:
        """Forget the gradients; an accumulated sum stays, and the next gradients are added to it."""
        self.inner_optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights from their scaled gradients, unless one of these is not finite; then adjust the scale."""
        inner = self.inner_optimizer
        if inner._accumulates_():
            return
        gradients = [parameter.grad for parameter in inner._parameters_ if parameter.grad is not None]
        found = torch.zeros(1, device=self._scale.device)
        if gradients:
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, self._scale.reciprocal())
        if self._chosen_on_host():
            if found:
                inner._count_(updated=False)
            else:
                _update(inner)
        else:
            self._update_where_finite(found.bool())
        torch._amp_update_scale_(self._scale, self._finite_steps, found, 2.0, 0.5, self.dynamic_growth_steps)

    def _chosen_on_host(self) -> bool:
        """Return whether to look at the gradients before the update: where looking costs nothing, or not all state is known."""
        inner = self.inner_optimizer
        return self._scale.device.type == "cpu" or inner.use_ema or not inner._updates_lists_

    def _update_where_finite(self, found: torch.Tensor) -> None:
        """Update, and put back what was there where ``found`` is true, all on the device."""
        inner = self.inner_optimizer
        engine: Any = inner._engine_
        by_dtype: dict[torch.dtype, list[torch.Tensor]] = {}
        for tensor in (*inner._parameters_, *engine.state_tensors()):
            by_dtype.setdefault(tensor.dtype, []).append(in_line(tensor))
        before = [torch.cat(rows) for rows in by_dtype.values()]
        _update(inner)
        for rows, old in zip(by_dtype.values(), before, strict=True):  # a few calls for all, whose number a GPU's host feels
            chosen = torch.where(found, old, torch.cat(rows))
            torch._foreach_copy_(rows, torch.split(chosen, [len(row) for row in rows]))

    @described(Optimizer.finalize_variable_values)
    def finalize_variable_values(self, var_list: Iterable[Weight]) -> None:
        """Put the moving averages of the inner optimizer in the place of these weights, where there are any."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state, the scale and the count of finite steps."""
        return {
            "inner": self.inner_optimizer.state_dict(), "scale": self.dynamic_scale, "finite_steps": int(self._finite_steps)
        }  # fmt: skip

    @guarded
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set what ``state_dict`` returned.

        Args:
            state: the state.
        """
        self.inner_optimizer.load_state_dict(state["inner"])
        self._scale.fill_(state["scale"])
        self._finite_steps.fill_(state["finite_steps"])


def _update(inner: Optimizer) -> None:
    inner._prepare_()
    inner._update_()
    inner._count_()


__all__ = ["LossScaleOptimizer"]
