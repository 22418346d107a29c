"""An optimizer of torch's own, under ``compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer


class TorchOptimizer(Optimizer):
    """Wrap a factory such as ``lambda parameters: torch.optim.Adagrad(parameters, lr=0.1)``, or a class of ``torch.optim``."""

    def __init__(self, factory: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], **options: Any) -> None:
        probe = factory([torch.nn.Parameter(torch.zeros(1))])
        super().__init__(probe.defaults.get("lr", 0.0), name=type(probe).__name__, **options)
        self._factory = factory

    def make(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return what the factory makes."""
        return self._factory(parameters)
