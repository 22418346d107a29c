"""Optimizers by name, as JSON, and back."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from anabranch._errors import ArgumentTypeError
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.third_party import TorchOptimizer
from anabranch.registry import Json, Registry, finder, writer

OptimizerLike: TypeAlias = "str | Optimizer | type[Optimizer] | Callable[..., Any] | dict[str, Any]"


def _classes() -> dict[str, type[Optimizer]]:
    """Return the optimizers that the package lists as public."""
    package = importlib.import_module(__package__ or "")
    found = {name: getattr(package, name) for name in package.__all__}
    return {name: each for name, each in found.items() if isinstance(each, type) and each is not Optimizer}


class _Optimizers(Registry[Optimizer]):
    def find(self, name: str) -> type[Optimizer] | None:
        """Return what a name means, whatever its case, as in Keras."""
        found = self.table.get(name)
        return found or next((each for known, each in self.table.items() if known.lower() == name.lower()), None)


_registry = _Optimizers("optimizer", "keras.optimizers", Optimizer, _classes)


@finder
def get(identifier: OptimizerLike) -> Optimizer:
    """Return an optimizer.

    Args:
        identifier: a name, a config, an optimizer of this package, or a class or factory of ``torch.optim``.

    Raises:
        UnknownNameError: there is no such name.
        ArgumentTypeError: something else, or an optimizer of torch's that has parameters already.

    Example:
        >>> get("rmsprop")
        RMSprop()
    """
    if isinstance(identifier, torch.optim.Optimizer):
        raise ArgumentTypeError(
            "A torch optimizer is given before it has parameters, so that fit can give it the model's.",
            got=type(identifier).__name__,
            repair=f"optimizer=lambda parameters: torch.optim.{type(identifier).__name__}(parameters, lr=…)",
        )
    if isinstance(identifier, (str, dict, Optimizer)) or (isinstance(identifier, type) and issubclass(identifier, Optimizer)):
        found: Optimizer | None = _registry.get(identifier)
    else:
        factory: Callable[..., Any] = identifier
        found = TorchOptimizer(factory) if callable(identifier) else _registry.get(identifier)
    if found is None:
        raise ArgumentTypeError("Expected an optimizer.", expected="a name, an optimizer or a factory", got="None")
    return found


@writer
def serialize(optimizer: Optimizer) -> Json:
    """Return an optimizer as JSON: its settings, not its state.

    Example:
        >>> from anabranch.optimizers import SGD
        >>> serialize(SGD(0.1))["config"]["learning_rate"]
        0.1
    """
    return _registry.serialize(optimizer)


@finder
def deserialize(config: Json, custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """Return the optimizer that ``serialize`` described.

    Args:
        config: its JSON, such as Keras writes too.

    Raises:
        UnknownNameError: neither this package nor the caller knows the class.

    Example:
        >>> deserialize({"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.9}})
        SGD(learning_rate=0.1, momentum=0.9)
    """
    return _registry.deserialize(config, custom_objects)
