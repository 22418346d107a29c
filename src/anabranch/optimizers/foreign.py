"""An optimizer of torch's own, under ``compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.optimizers.optimizer import Optimizer


class TorchOptimizer(Optimizer):
    """Wrap a factory such as ``lambda parameters: torch.optim.Adagrad(parameters, lr=0.1)``, or a class of ``torch.optim``.

    ``options`` are those of every optimizer: ``clipnorm``, ``use_ema``, ``learning_rate`` and so on.
    """

    def __init__(self, factory: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], **options: Any) -> None:
        try:
            probe = factory([torch.nn.Parameter(torch.zeros(1))])
        except TypeError as error:
            raise ArgumentTypeError(
                "That makes no optimizer from a list of parameters.",
                expected="an optimizer, or a function of parameters that returns a torch.optim.Optimizer",
                got=str(error),
                repair="optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1)",
            ) from error
        if not isinstance(probe, torch.optim.Optimizer):
            raise ArgumentTypeError(
                "That makes no optimizer.", expected="a torch.optim.Optimizer", got=f"{type(probe).__name__}"
            )
        options.setdefault("learning_rate", float(probe.defaults.get("lr", 0.0)))
        options.setdefault("name", type(probe).__name__)
        super().__init__(**options)
        self._factory = factory

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return what the factory makes."""
        return self._factory(parameters)

    def get_config(self) -> dict[str, Any]:
        """Refuse: a function is no data."""
        raise ArgumentError("An optimizer made by a function of torch's has no config.", repair="use anabranch.optimizers")
