"""The base of optimizers: what happens around each update, the same for all of them.

One step is: gather gradients (over ``gradient_accumulation_steps``), clip, decay weights, update, average (EMA), count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError
from anabranch.graph import Weight, snake_case
from anabranch.optimizers.schedules import LearningRateSchedule, deserialize as schedule_from, serialize as schedule_config
from anabranch.optimizers.update import ListUpdate, Number, descend

_PLAIN = (int, float, str, type(None))
_COUNTED = frozenset(("iterations", "_rate", "_told", "_gathered_steps"))  # what a captured update does not hold


class Optimizer:
    """Base of optimizers: subclass and write ``make(parameters)``, which returns a ``torch.optim.Optimizer``.

    Those of this package return a ``ListUpdate`` of themselves: they are the ``Rule`` by which it updates.

    Args:
        learning_rate: a number or a schedule of the iterations.
        weight_decay: w ← w · (1 - learning_rate · weight_decay) before each update (Loshchilov & Hutter 2019).
        clipnorm: greatest L2 norm of each weight's gradient.
        clipvalue: greatest absolute value of a gradient's element.
        global_clipnorm: greatest L2 norm of all gradients together.
        use_ema: keep an exponential moving average of the weights, put in their place when training ends.
        ema_momentum: the average's share of its old value.
        ema_overwrite_frequency: put the average in the weights' place every so many iterations.
        loss_scale_factor: the loss is multiplied by this before its gradients are taken, and they are divided by it.
        gradient_accumulation_steps: update once in so many steps, by the mean of their gradients; ``iterations``, schedules
            and averages count updates.
    """

    def __init__(
        self,
        learning_rate: Any,
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
        if sum(limit is not None for limit in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ArgumentError("Only one of clipnorm, clipvalue and global_clipnorm can be set.")
        for label, limit in (("clipnorm", clipnorm), ("clipvalue", clipvalue), ("global_clipnorm", global_clipnorm)):
            if limit is not None and limit <= 0:
                raise ArgumentError(f"{label} is positive.", got=repr(limit))
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ArgumentError("gradient_accumulation_steps is at least 2.", got=repr(gradient_accumulation_steps))
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError("ema_momentum lies in [0, 1].", got=repr(ema_momentum))
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = use_ema, ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.iterations = 0  # updates so far
        self.weights: list[Weight] = []
        self._parameters: list[torch.nn.Parameter] = []
        self._engine: torch.optim.Optimizer | None = None
        self._kept_whole: tuple[set[int], re.Pattern[str] | None] = (set(), None)  # weights that do not decay: ids, names
        self._decayed: list[torch.nn.Parameter] = []
        self._gathered: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._gathered_steps = 0
        self._averages: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._numbers: tuple[Number, Number] = (0.0, 0.0)  # of the update at hand: learning rate, step size
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None  # the same on the device, for captured updates
        self._told: tuple[float, float] | None = None  # what the device has been told of them
        self._rate: LearningRateSchedule | Callable[[], Any] | float = 0.0
        self.learning_rate = learning_rate

    # The learning rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update; a number takes the place of a number or a function, not of a schedule."""
        rate = self._rate
        if isinstance(rate, LearningRateSchedule):
            return float(rate(self.iterations))
        return float(rate()) if callable(rate) else rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule) or callable(value):
            self._rate = value
            return
        if isinstance(self._rate, LearningRateSchedule):
            raise ArgumentTypeError(
                "A schedule sets this optimizer's learning rate, so a number would be overruled or overrule it.",
                got=repr(value),
                repair="compile with a number as learning_rate, or assign another schedule",
            )
        try:
            rate = float(value)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(
                "A learning rate is a number or a schedule.", got=repr(value), repair="for instance 1e-3"
            ) from error
        if not rate >= 0:
            raise ArgumentError("A learning rate is not negative.", got=repr(value))
        self._rate = rate

    # Building

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer that does the arithmetic of one update."""
        raise NotImplementedError(f"{type(self).__name__} must write make(parameters)")

    def build(self, weights: Sequence[Weight]) -> None:
        """Take charge of ``weights``; what is kept about those it had before stays, and follows them to their device."""
        parameters = [weight.value for weight in weights]
        engine = self._engine
        same = len(parameters) == len(self._parameters) and all(map(_is, parameters, self._parameters))
        if same and (engine is None or _at_home(engine)):
            self.weights = list(weights)
            return
        kept = dict(engine.state) if engine else {}
        self.weights, self._parameters = list(weights), parameters
        self._engine = self.make(parameters) if parameters else None
        if self._engine:
            self._engine.state.update({p: _moved(kept[p], p.device) for p in parameters if p in kept})
        kept_on = set(parameters)
        self._gathered = {p: total.to(p.device) for p, total in self._gathered.items() if p in kept_on}
        self._averages = {p: mean.to(p.device) for p, mean in self._averages.items()}
        self._choose_decayed()

    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the decay: those listed, and those in whose name (``bias``, ``gamma``) a pattern is found.

        A second call replaces the first.
        """
        names = list(var_names or ())
        self._kept_whole = ({id(weight) for weight in var_list or ()}, re.compile("|".join(names)) if names else None)
        self._choose_decayed()

    def _choose_decayed(self) -> None:
        listed, pattern = self._kept_whole
        self._decayed = [
            parameter
            for weight, parameter in zip(self.weights, self._parameters, strict=True)
            if id(weight) not in listed and not (pattern and pattern.search(weight.name))
        ]

    # One step

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss times ``loss_scale_factor``, whose gradients ``step`` divides by it again."""
        return loss * self.loss_scale_factor if self.loss_scale_factor else loss

    def zero_grad(self) -> None:
        """Forget the gradients; a sum that is gathered over ``gradient_accumulation_steps`` stays, and the next add to it."""
        if self._gathered:
            for parameter in self._parameters:
                parameter.grad = self._gathered.get(parameter)
            return
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update the weights from their gradients."""
        if self._engine is None:
            if self.weights:
                raise NotReadyError("The optimizer has no weights.", repair="build(weights) first")
        elif self.gradient_accumulation_steps and not self._gather(self.gradient_accumulation_steps):
            return
        self.prepare()
        self.update()
        self.iterations += 1

    def prepare(self) -> None:
        """Work out on the host the numbers of the next update: learning rate and step size."""
        rate = self.learning_rate
        size = self.step_size(rate)
        self._numbers = rate, size
        if self._held is not None:
            if self._told != (rate, size):
                for held, number in zip(self._held, (rate, size), strict=True):
                    held.fill_(number)
                self._told = rate, size
            self._numbers = self._held

    @torch.no_grad()
    def update(self) -> None:
        """Update the weights from their gradients with the numbers that ``prepare`` found; nothing is read on the host.

        This part of a step can be captured as a CUDA graph where ``capturable`` says so.
        """
        engine = self._engine
        if engine is None:
            return
        gradients = [parameter.grad for parameter in self._parameters]
        self._adjust(gradients)
        rate, size = self._numbers
        if self.weight_decay:
            decayed: list[torch.Tensor] = [parameter for parameter in self._decayed if parameter.grad is not None]
            if decayed:
                descend(decayed, decayed, rate * self.weight_decay)
        if isinstance(engine, ListUpdate):
            engine.update(gradients, size)
        else:
            for group in engine.param_groups:
                group["lr"] = rate
            engine.step()
        if self.use_ema:
            self._average()

    # Captured steps

    @property
    def capturable(self) -> bool:
        """Whether ``update`` does the same work at every step, so that a CUDA graph of it may be replayed.

        The first update makes state, so it is not the one to capture.
        """
        same = not self.gradient_accumulation_steps and not (self.use_ema and self.ema_overwrite_frequency)
        return same and isinstance(self._engine, ListUpdate)

    def hold(self, device: torch.device | None) -> None:
        """Keep learning rate and step size as tensors on ``device``, where a captured ``update`` reads them; None: as numbers.

        Schedules and callbacks then reach each replay by ``advance``.
        """
        if device is not None and self._held is not None and self._held[0].device == device:
            return  # captured updates read these
        self._held = None if device is None else (torch.zeros((), device=device), torch.zeros((), device=device))
        self._told = None

    def bound(self) -> tuple[Any, ...]:
        """Return what a captured ``update`` goes on using: the optimizer's own numbers, and where its tensors lie."""
        numbers = {key: value for key, value in vars(self).items() if key not in _COUNTED and isinstance(value, _PLAIN)}
        tensors = [*(self._held or ()), *self._averages.values()]
        return numbers, self._engine, getattr(self._engine, "_groups", None), [tensor.data_ptr() for tensor in tensors]

    def advance(self) -> None:
        """Do what stands beside the replay of a captured ``update``: set its numbers, and count it."""
        self.prepare()
        torch.autograd.graph.increment_version(self._parameters)
        self.iterations += 1

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Weight] | None = None) -> None:
        """Update weights from gradients given one by one, as tensors in torch's layout, such as ``weight.value.grad``.

        Args:
            grads: a gradient for each weight, None where a weight has none.
            trainable_variables: the weights; those that the optimizer was built with unless given. New ones join them.

        Raises:
            NotReadyError: no weights were given, and the optimizer has none.
            ArgumentError: there is another number of gradients than weights, or not one gradient.
        """
        given = list(grads)
        if trainable_variables is None and not self.weights and given:
            raise NotReadyError("The optimizer has no weights.", repair="optimizer.apply(grads, model.trainable_weights)")
        weights = self.weights if trainable_variables is None else list(trainable_variables)
        if len(given) != len(weights):
            raise ArgumentError(
                "There is another number of gradients than of weights.", expected=str(len(weights)), got=str(len(given))
            )
        if not given:
            return
        if all(gradient is None for gradient in given):
            raise ArgumentError(
                "There is no gradient for any weight.",
                got=", ".join(weight.path for weight in weights)[:200],
                repair="loss.backward() first, of a loss that depends on them; then [w.value.grad for w in weights]",
            )
        known = set(map(id, self.weights))
        self.build([*self.weights, *(weight for weight in weights if id(weight) not in known)])
        others = {parameter: parameter.grad for parameter in self._parameters}
        for parameter in self._parameters:
            parameter.grad = None
        for weight, gradient in zip(weights, given, strict=True):
            # a sum is gathered in place, and what was given is the caller's
            own = not self.gradient_accumulation_steps or gradient is self._gathered.get(weight.value)
            weight.value.grad = gradient if own else gradient.clone()
            others.pop(weight.value, None)
        self.step()
        for parameter, gradient in others.items():
            parameter.grad = gradient

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Weight]]) -> int:
        """Update weights from pairs of gradient and weight, and return how many updates there were so far."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    def step_size(self, learning_rate: float) -> float:
        """Return what ``ListUpdate`` is given as the rate of the next update."""
        return learning_rate

    @torch.no_grad()
    def _gather(self, steps: int) -> bool:
        """Note that the gradients are a part of the sum; put the sums in their place and say so when enough have come.

        What autograd added to the sum itself is there already.
        """
        for parameter in self._parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            total = self._gathered.setdefault(parameter, gradient)
            if total is not gradient:
                total.add_(gradient)
        self._gathered_steps += 1
        if self._gathered_steps < steps:
            return False
        for parameter in self._parameters:
            parameter.grad = self._gathered.get(parameter)
        self._gathered, self._gathered_steps = {}, 0
        return True

    def _adjust(self, given: list[torch.Tensor | None]) -> None:
        """Divide gradients by what they were multiplied with, and clip them."""
        divisor = (self.loss_scale_factor or 1) * (self.gradient_accumulation_steps or 1)
        clipped = self.clipvalue or self.clipnorm or self.global_clipnorm
        if divisor == 1 and not clipped:
            return
        gradients = [gradient for gradient in given if gradient is not None]
        if not gradients:
            return
        if divisor != 1:
            torch._foreach_div_(gradients, divisor)
        if self.clipvalue is not None:
            torch._foreach_clamp_min_(gradients, -self.clipvalue)
            torch._foreach_clamp_max_(gradients, self.clipvalue)
        elif clipped:
            norms = torch.stack(torch._foreach_norm(gradients))
            if self.global_clipnorm is not None:
                torch._foreach_mul_(gradients, _share(torch.linalg.vector_norm(norms), self.global_clipnorm))
            elif self.clipnorm is not None:
                torch._foreach_mul_(gradients, _share(norms, self.clipnorm).unbind())

    # The moving average

    def _average(self) -> None:
        parameters = self._parameters
        if self.iterations == 0 or any(parameter not in self._averages for parameter in parameters):
            # the first average is the weights themselves, as Keras has it
            new = [parameter for parameter in parameters if self.iterations == 0 or parameter not in self._averages]
            parameters = [parameter for parameter in parameters if self.iterations and parameter in self._averages]
            self._averages.update({parameter: parameter.detach().clone() for parameter in new})
        if parameters:
            averages = [self._averages[parameter] for parameter in parameters]
            torch._foreach_lerp_(averages, [*parameters], 1 - self.ema_momentum)
        if self.ema_overwrite_frequency and (self.iterations + 1) % self.ema_overwrite_frequency == 0:
            self._put_averages()

    @torch.no_grad()
    def _put_averages(self) -> None:
        for parameter in self._parameters:
            if parameter in self._averages:
                parameter.copy_(self._averages[parameter])

    def finalize(self) -> None:
        """Put the moving average in the weights' place where there is one; ``fit`` calls this at its end."""
        if self.use_ema and self._averages:
            self._put_averages()

    # Keeping

    def state_dict(self) -> dict[str, Any]:
        """Return iterations, learning rate and torch's state, for resuming; tensors are shared, as torch's are."""
        return {
            "iterations": self.iterations,
            "learning_rate": self._rate if isinstance(self._rate, float) else None,
            "engine": self._engine.state_dict() if self._engine else None,
            "averages": [self._averages.get(p) for p in self._parameters],
            "gathered": [self._gathered.get(p) for p in self._parameters],
            "gathered_steps": self._gathered_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set what ``state_dict`` gave; the optimizer must be built for the same weights, in the same order."""
        if state["engine"] is not None:
            if self._engine is None:
                raise NotReadyError("The optimizer has no weights to load state for.", repair="build(weights) first")
            try:
                self._engine.load_state_dict(state["engine"])
            except (KeyError, ValueError) as error:
                raise ArgumentError("That state belongs to another optimizer or other weights.", got=str(error)) from error
        self.iterations = state["iterations"]
        if state["learning_rate"] is not None and isinstance(self._rate, float):
            self._rate = state["learning_rate"]
        self._averages = _by_parameter(self._parameters, state["averages"])
        self._gathered = _by_parameter(self._parameters, state["gathered"])
        self._gathered_steps = state["gathered_steps"]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        rate = self._rate
        base = (
            "name", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
            "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
        )  # fmt: skip
        shown = schedule_config(rate) if isinstance(rate, LearningRateSchedule) else self.learning_rate
        return {"learning_rate": shown} | {key: getattr(self, key) for key in base}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        """Make one from what ``get_config`` gave; ``custom_objects`` names the user's own schedules."""
        rate = config.get("learning_rate")
        return cls(**(config | {"learning_rate": schedule_from(rate, custom_objects)} if isinstance(rate, dict) else config))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} learning_rate={self.learning_rate:g} iterations={self.iterations}>"


def _is(one: object, other: object) -> bool:
    return one is other


def _at_home(engine: torch.optim.Optimizer) -> bool:
    """Return whether the state lies where its parameters do: ``config.set_device`` moves parameters, not state."""
    if isinstance(engine, ListUpdate):
        return engine.fits()
    return all(
        not isinstance(value, torch.Tensor) or value.dim() == 0 or value.device == parameter.device
        for parameter, state in engine.state.items()
        for value in state.values()
    )


def _moved(state: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in state.items()}


def _by_parameter(
    parameters: list[torch.nn.Parameter], values: list[torch.Tensor | None]
) -> dict[torch.nn.Parameter, torch.Tensor]:
    return {p: value.to(p.device) for p, value in zip(parameters, values, strict=True) if value is not None}


def _share(norm: torch.Tensor, limit: float) -> torch.Tensor:
    """Return what is left of a gradient, limit / max(norm, limit), without looking at the numbers on the host."""
    return limit / norm.clamp(min=limit)
