"""The base of optimizers: settings that all share, and the order of what happens around an update.

One update is a composition of ``parts``: accumulate, scale, clip, decay, update, average, constrain; then it is counted.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import torch

from anabranch._arguments import can_be_iterated, checked, guarded
from anabranch._asked import described, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError
from anabranch._fields import Field
from anabranch.graph import Weight
from anabranch.graph.call_site import warn
from anabranch.optimizers.arithmetic import Arithmetic
from anabranch.optimizers.numbers import StepNumbers
from anabranch.optimizers.one_by_one import OneByOne
from anabranch.optimizers.parts import (
    Accumulated,
    Averages,
    ByLists,
    ByTorch,
    ByWeight,
    Decay,
    Part,
    Scale,
    Step,
    clips,
    constrain,
)
from anabranch.optimizers.parts._by_parameter import by_parameter
from anabranch.optimizers.rate import Iterations
from anabranch.optimizers.settings import Settings
from anabranch.optimizers.update import ListUpdate, fits, moved, unguarded
from anabranch.optimizers.variables import Variables


class Optimizer(Arithmetic, OneByOne, Variables, Settings):
    """Base of optimizers: subclass, declare settings as fields, and write ``update_weights``.

    A subclass may instead write ``update_step(gradient, variable, learning_rate)``, as Keras's optimizers do. An optimizer of
    torch's needs no subclass: ``TorchOptimizer`` takes it.

    Example:
        >>> import torch
        >>> from anabranch.optimizers import Optimizer
        >>> class SignDescent(Optimizer):
        ...     def update_weights(self, lists, rate):
        ...         torch._foreach_sub_(lists.weights, [gradient.sign() * rate for gradient in lists.gradients])
        >>> SignDescent(0.1, clipnorm=1.0)
        SignDescent(learning_rate=0.1, clipnorm=1.0)
    """

    def _check_(self) -> None:
        self._one_limit_()
        self._begin_()

    def _begin_(self) -> None:
        """Make the state of an optimizer that has seen no weights."""
        self._updates_ = 0
        self.weights: list[Weight] = []
        self._parameters_: list[torch.nn.Parameter] = []
        self._engine_: torch.optim.Optimizer | None = None
        self._parts_: list[Part] | None = None  # what an update is composed of; None after a setting has changed
        self._accumulated_, self._averages_, self._decay_ = Accumulated(), Averages(), Decay()
        self._numbers_ = StepNumbers()
        self._begin_variables_()

    def _renewed_(self) -> Self:
        """Return an optimizer of the same settings that has seen no weights.

        Example:
            >>> Optimizer(0.1)._renewed_()
            Optimizer(learning_rate=0.1)
        """
        new = copy.copy(self)
        new._begin_()
        new._decay_.exclude(self._decay_.excluded, self._decay_.patterns)
        return new

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_parts_": None}

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        """Compose the next update again after a setting has changed."""
        super()._changing_(changed, value)
        if changed.name == "gradient_accumulation_steps":
            self._accumulated_ = Accumulated()  # sums of another number of batches are no part of a mean
        if changed.name != "learning_rate":
            self._parts_ = None

    # Counts and the learning rate

    @property
    def iterations(self) -> Iterations:
        """How many updates there were."""
        return Iterations(self._updates_, self)

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._updates_ = int(value)

    def _rate_now_(self) -> float:
        """Return the learning rate of the next update as a plain float.

        Example:
            >>> Optimizer(0.1)._rate_now_()
            0.1
        """
        return self._rate_at_(self._batches_)

    def _engine_for_(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer that does the arithmetic of an update: by ``update_weights`` unless overridden."""
        return ListUpdate(parameters, self)

    @checked
    def build(self, weights: Sequence[Weight]) -> None:
        """Take charge of weights; the state of those it had before stays, and follows them to their device.

        Args:
            weights: the weights that ``step`` updates from now on.

        Example:
            >>> from anabranch import layers
            >>> optimizer = Optimizer(0.1)
            >>> optimizer.build([layers.Layer().add_weight((2,))])
            >>> len(optimizer.weights)
            1
        """
        engine, before = self._engine_, self._parameters_
        self._take_charge_(weights)
        parameters = self._parameters_
        same = len(parameters) == len(before) and all(map(operator.is_, parameters, before))
        if same and (engine is None or fits(engine)):
            return
        known = dict(engine.state) if engine else {}
        if known and parameters and not any(parameter in known for parameter in parameters):
            warn(
                f"This {type(self).__name__} has updated other weights until now; what it knew of them (momentum and the "
                "like) is dropped, and its count of updates goes on. Give each model an optimizer of its own."
            )
        self._parts_ = None
        self._engine_ = self._engine_for_(parameters) if parameters else None
        if self._engine_:
            self._engine_.state.update({p: moved(known[p], p.device) for p in parameters if p in known})
        self._accumulated_.follow(parameters)
        self._averages_.follow()

    def _take_charge_(self, weights: Sequence[Weight]) -> None:
        if not can_be_iterated(weights) or not all(isinstance(weight, Weight) for weight in weights):
            raise ArgumentTypeError("Expected weights to update.", expected="model.trainable_weights", got=shown(weights))
        self._reuse_variables_()
        self.weights, self._parameters_ = list(weights), [cast("torch.nn.Parameter", weight.value) for weight in weights]

    @checked
    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the decay; a second call replaces the first.

        Args:
            var_list: the weights.
            var_names: patterns, such as ``"bias"``: weights in whose name one is found.

        Example:
            >>> Optimizer(0.1, weight_decay=0.01).exclude_from_weight_decay(var_names=["bias"])
        """
        weights: list[Any] = [] if var_list is None else list(var_list)
        names: list[Any] = [] if var_names is None else list(var_names)
        if not all(isinstance(weight, Weight) for weight in weights):
            raise ArgumentTypeError("var_list must hold weights.", expected="weights, such as layer.bias", got=shown(weights))
        if isinstance(var_names, str) or not all(isinstance(name, str) for name in names):
            raise ArgumentTypeError("var_names must be a list of strings.", got=shown(var_names))
        self._decay_.exclude(weights, names)
        self._parts_ = None

    @property
    def _batches_(self) -> int:
        """How many batches there were, of which accumulated gradients make one update."""
        return self._updates_ * (self.gradient_accumulation_steps or 1) + self._accumulated_.count

    @_batches_.setter
    def _batches_(self, value: int) -> None:
        self._updates_, self._accumulated_.count = divmod(int(value), self.gradient_accumulation_steps or 1)

    # One step

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss times ``loss_scale_factor``, by which ``step`` divides its gradients.

        Args:
            loss: the loss of one batch.

        Example:
            >>> Optimizer(0.1, loss_scale_factor=8.0).scale_loss(torch.tensor(0.5))
            tensor(4.)
        """
        return loss * self.loss_scale_factor if self.loss_scale_factor else loss

    def zero_grad(self) -> None:
        """Forget the gradients; an accumulated sum stays, and the next gradients are added to it.

        Example:
            >>> from anabranch import layers
            >>> optimizer, weight = Optimizer(0.1), layers.Layer().add_weight((2,))
            >>> optimizer.build([weight])
            >>> weight.value.sum().backward()
            >>> optimizer.zero_grad()
            >>> weight.value.grad is None
            True
        """
        if self._accumulated_.sums:
            for parameter in self._parameters_:
                parameter.grad = self._accumulated_.sums.get(parameter)
            return
        for parameter in self._parameters_:
            parameter.grad = None

    def step(self) -> None:
        """Update the weights from their gradients.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizer = optimizers.SGD(0.5)
            >>> optimizer.build([weight])
            >>> weight.value.sum().backward()
            >>> optimizer.step()
            >>> weight.value.tolist()
            [0.5, 0.5]
        """
        if self._engine_ is None and self.weights:
            raise NotReadyError("The optimizer has no weights.", repair="build(weights) first")
        if self._accumulates_():
            return
        self._prepare_()
        self._update_()
        self._count_()

    def _accumulates_(self) -> bool:
        """Add the gradients to those of earlier batches; return whether more must come before the next update."""
        steps = self.gradient_accumulation_steps
        if not steps or self._accumulated_.add(self._parameters_, steps):
            return False
        if self._parameters_:  # as in Keras, after each batch
            self._parts_ = self._parts_ or self._composed_()
            with torch.no_grad():
                for part in self._parts_:
                    if part is constrain or part is self._averages_:
                        part(self._step_())
        return True

    def _prepare_(self) -> None:
        """Compute on the host the numbers of the next update: learning rate and step size."""
        steps = self.gradient_accumulation_steps or 1
        rate = self._rate_at_(self._updates_ * steps + steps - 1)  # as in Keras, that of the last batch
        self._set_rate_(rate)

    def _set_rate_(self, rate: float) -> None:
        count = self._updates_ + 1
        self._numbers_.set(rate, self.step_size(rate, count), *self.further_numbers(rate, count))

    @torch.no_grad()
    def _update_(self) -> None:
        """Update the weights with the numbers of ``_prepare_``; nothing is read on the host, so a CUDA graph may hold this."""
        if self._engine_ is None:
            return
        step = self._step_()
        for part in self._parts_ or self._composed_():
            part(step)

    def _step_(self) -> Step:
        rate, size, *_ = self._numbers_.current
        gradients = [parameter.grad for parameter in self._parameters_]
        return Step(self.weights, self._parameters_, gradients, rate, size, self._updates_)

    def _composed_(self) -> list[Part]:
        """Return what an update is composed of, in order; what a setting turns off is left out."""
        engine, found = self._engine_, list[Part]()
        divisor = (self.loss_scale_factor or 1) * (self.gradient_accumulation_steps or 1)
        if divisor != 1:
            found.append(Scale(divisor))
        found += clips(self.clipnorm, self.clipvalue, self.global_clipnorm)
        if self._decay_.choose(self.weights, map(self.decay_of, self.weights)):
            found.append(self._decay_)
        if isinstance(engine, ListUpdate):
            engine.refit()
            found.append(ByLists(engine) if self._updates_lists_ else ByWeight(self.update_step))
        elif engine is not None:
            found.append(ByTorch(engine))
        if self.use_ema:
            self._averages_.momentum, self._averages_.overwrite = self.ema_momentum, self.ema_overwrite_frequency
            found.append(self._averages_)
        self._parts_ = [*found, constrain]  # after the averages, as in Keras
        return self._parts_

    def _count_(self, updated: bool = True) -> None:
        """Count an update; one that was left out takes its gradients with it."""
        self._updates_ += updated
        self._accumulated_.count = 0

    # Custom loops

    @checked
    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Weight] | None = None) -> None:
        """Update weights from gradients given one by one, as tensors in torch's layout, such as ``weight.value.grad``.

        Args:
            grads: a gradient for each weight, None where a weight has none.
            trainable_variables: the weights; those that the optimizer was built with unless given. New ones join them.

        Raises:
            NotReadyError: no weights were given, and the optimizer has none.
            ArgumentError: there are more or fewer gradients than weights, or not one gradient.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizers.SGD(0.5).apply([torch.ones_like(weight.value)], [weight])
            >>> weight.value.tolist()
            [0.5, 0.5]
        """
        given = list(grads)
        if trainable_variables is None and not self.weights and given:
            raise NotReadyError("The optimizer has no weights.", repair="optimizer.apply(grads, model.trainable_weights)")
        weights = self.weights if trainable_variables is None else list(trainable_variables)
        if not _matched(given, weights):
            return
        known = set(map(id, self.weights))
        follow(self, [*self.weights, *(weight for weight in weights if id(weight) not in known)])
        others = {parameter: parameter.grad for parameter in self._parameters_}
        for parameter in self._parameters_:
            parameter.grad = None
        for weight, gradient in zip(weights, given, strict=True):
            parameter = cast("torch.nn.Parameter", weight.value)
            # a sum is accumulated in place, and what was given is the caller's
            own = not self.gradient_accumulation_steps or gradient is self._accumulated_.sums.get(parameter)
            parameter.grad = gradient if own else gradient.clone()
            others.pop(parameter, None)
        self.step()
        for parameter, gradient in others.items():
            parameter.grad = gradient

    @checked
    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Weight]]) -> int:
        """Update weights from pairs of gradient and weight.

        Args:
            grads_and_vars: the pairs.

        Returns:
            How many updates there were so far.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizers.SGD(0.5).apply_gradients([(torch.ones_like(weight.value), weight)])
            1
        """
        pairs = list(grads_and_vars)
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            raise ArgumentTypeError("grads_and_vars must be pairs (gradient, weight).", got=shown(pairs))
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return iterations, learning rate and torch's state, for resuming; tensors are shared, as torch's are.

        Example:
            >>> Optimizer(0.1).state_dict()["learning_rate"]
            0.1
        """
        rate = self._setting_()
        return {
            "iterations": self._updates_,
            "learning_rate": rate if isinstance(rate, float) else None,
            "engine": unguarded(type(self._engine_).state_dict)(self._engine_) if self._engine_ else None,
            "averages": [self._averages_.values.get(p) for p in self._parameters_],
            "gathered": [self._accumulated_.sums.get(p) for p in self._parameters_],
            "gathered_steps": self._accumulated_.count,
            "not_decayed": self._decay_.exclusions(self.weights),
            "added": [each.value for each in self._added_variables_],
        }

    @guarded
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set what ``state_dict`` returned; the optimizer must be built for the same weights, in the same order.

        Args:
            state: the state.

        Example:
            >>> optimizer = Optimizer(0.1)
            >>> optimizer.load_state_dict(Optimizer(0.5).state_dict())
            >>> optimizer._rate_now_()
            0.5
        """
        if state["engine"] is not None:
            if self._engine_ is None:
                raise NotReadyError("The optimizer has no weights to load state for.", repair="build(weights) first")
            try:
                unguarded(type(self._engine_).load_state_dict)(self._engine_, state["engine"])
            except (KeyError, ValueError) as error:
                raise ArgumentError("That state belongs to another optimizer or other weights.", got=str(error)) from error
        self._load_added_(state.get("added", []))
        self._updates_, self._accumulated_.count = state["iterations"], state["gathered_steps"]
        if state["learning_rate"] is not None and isinstance(self._setting_(), float):
            self.learning_rate = state["learning_rate"]
        self._averages_.values = by_parameter(self._parameters_, state["averages"])
        self._accumulated_.sums = by_parameter(self._parameters_, state["gathered"])
        self._decay_.exclude_by_position(self.weights, state.get("not_decayed"))
        self._parts_ = None


def follow(optimizer: Optimizer, weights: Sequence[Weight]) -> None:
    """Build an optimizer for these weights; as if for the first time where there are others than before."""
    if {id(weight) for weight in weights} != {id(weight) for weight in optimizer.weights}:
        optimizer.built = False
    optimizer.build(weights)


def _matched(gradients: list[Any], weights: list[Weight]) -> bool:
    """Return whether there is anything to apply, or raise where gradients and weights do not match."""
    if len(gradients) != len(weights):
        raise ArgumentError(
            f"Got {len(gradients)} gradient{'' if len(gradients) == 1 else 's'} for {len(weights)} weights.",
            expected=str(len(weights)), got=str(len(gradients)),
        )  # fmt: skip
    for gradient, weight in zip(gradients, weights, strict=True):
        if not isinstance(weight, Weight):
            raise ArgumentTypeError("Expected weights to update.", expected="model.trainable_weights", got=shown(weight))
        if gradient is not None and not isinstance(gradient, torch.Tensor):
            raise ArgumentTypeError(f"The gradient for {weight.path!r} must be a tensor or None.", got=shown(gradient))
        if gradient is not None and gradient.shape != weight.value.shape:
            raise ShapeError(
                f"The gradient for {weight.path!r} has another shape.",
                expected=described(weight.value),
                got=described(gradient),
                repair="gradients have torch's layout: torch.autograd.grad(loss, weights), or [w.value.grad for w in weights]",
            )
    if gradients and all(gradient is None for gradient in gradients):
        raise ArgumentError(
            "There is no gradient for any weight.",
            got=", ".join(weight.path for weight in weights)[:200],
            repair="loss.backward() first, of a loss that depends on them; then [w.value.grad for w in weights]",
        )
    return bool(gradients)
