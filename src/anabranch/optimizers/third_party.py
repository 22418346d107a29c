"""An optimizer of torch's own, under ``compile``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from anabranch import registry
from anabranch._errors import ArgumentTypeError, unknown
from anabranch._fields import Field, field
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field

Factory: TypeAlias = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
_PREFIX = "torch.optim."


def _classes() -> dict[str, Any]:
    found = {name: each for name, each in vars(torch.optim).items() if isinstance(each, type)}
    return {_PREFIX + name: each for name, each in found.items() if issubclass(each, torch.optim.Optimizer)}


def _factory(value: object, owner: object, name: str) -> Any:
    if isinstance(value, str):
        if value not in _classes():
            raise unknown("optimizer of torch", value, _classes())
        return _classes()[value]
    if isinstance(value, Mapping):
        return registry.deserialize(value)
    if not callable(value):
        raise ArgumentTypeError(
            f"{name} of TorchOptimizer must be a class of torch.optim or a function.", got=repr(value)[:120]
        )
    return value


def _plain(value: Any) -> registry.Json:
    """Return a class of torch's as its name, and a function as what ``registry`` makes of it."""
    return next((name for name, each in _classes().items() if each is value), None) or registry.serialize(value)


class TorchOptimizer(Optimizer):
    """Let an optimizer of torch's update the weights; clipping, decay, averages, constraints are those of every optimizer.

    Example:
        >>> import torch
        >>> adagrad = TorchOptimizer(lambda parameters: torch.optim.Adagrad(parameters, lr=0.1))
        >>> adagrad.learning_rate, adagrad.name
        (0.1, 'Adagrad')
    """

    factory: Field[Factory | str, Factory] = field(
        convert=_factory, plain=_plain, fixed=True, kw_only=True,
        doc="makes the optimizer of a list of parameters: a class of ``torch.optim``, its name, or a function.",
    )  # fmt: skip
    learning_rate: Field[RateLike, LearningRate] = rate_field(None, optional=True)

    if TYPE_CHECKING:

        def __init__(self, factory: Factory | str, learning_rate: RateLike = None, **options: Any) -> None: ...

    def _check_(self) -> None:
        made = _probe(self.factory)
        if self._setting_() is None:
            vars(self)[":learning_rate"] = float(made.defaults.get("lr", 0.0))
        if ":name" not in vars(self):
            vars(self)[":name"] = type(made).__name__
        super()._check_()

    def _engine_for_(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return what the factory makes."""
        return self.factory(parameters)


def _probe(factory: Factory) -> torch.optim.Optimizer:
    """Return what the factory makes of a parameter, or raise where that is no optimizer."""
    try:
        made = factory([torch.nn.Parameter(torch.zeros(1))])
    except TypeError as error:
        raise ArgumentTypeError(
            "That makes no optimizer from a list of parameters.",
            expected="an optimizer, or a function of parameters that returns a torch.optim.Optimizer",
            got=str(error),
            repair="optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1)",
        ) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise ArgumentTypeError("That makes no optimizer.", expected="a torch.optim.Optimizer", got=type(made).__name__)
    return made
