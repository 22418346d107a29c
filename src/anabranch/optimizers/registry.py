"""Optimizers by name, as plain data, and back."""

from __future__ import annotations

from typing import Any

import torch

from anabranch._errors import ArgumentTypeError, unknown
from anabranch.optimizers.adam import Adam, AdamW
from anabranch.optimizers.foreign import TorchOptimizer
from anabranch.optimizers.loss_scale import LossScaleOptimizer
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rmsprop import RMSprop
from anabranch.optimizers.sgd import SGD

_CLASSES: dict[str, type[Optimizer]] = {cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adam, AdamW, LossScaleOptimizer)}


def get(identifier: Any) -> Optimizer:
    """Return an optimizer from a name, a config, one of ours, or a class or factory of ``torch.optim``.

    >>> get("rmsprop")
    <RMSprop learning_rate=0.001 iterations=0>
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return _class(identifier).from_config({})
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, torch.optim.Optimizer):
        raise ArgumentTypeError(
            "A torch optimizer is given before it has parameters, so that fit can give it the model's.",
            got=type(identifier).__name__,
            repair=f"optimizer=lambda parameters: torch.optim.{type(identifier).__name__}(parameters, lr=…)",
        )
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier.from_config({})
    if callable(identifier):
        return TorchOptimizer(identifier)
    raise ArgumentTypeError("That is no optimizer.", expected="a name, an Optimizer or a factory", got=repr(identifier))


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as plain data."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """Return the optimizer that ``serialize`` described; ``custom_objects`` maps the user's own by name."""
    cls, inner = _class(str(config.get("class_name")), custom_objects), config.get("config", {})
    if isinstance(inner.get("inner_optimizer"), dict):
        inner = inner | {"inner_optimizer": deserialize(inner["inner_optimizer"], custom_objects)}
    return cls.from_config(inner, custom_objects) if custom_objects else cls.from_config(inner)


def _class(name: str, custom_objects: dict[str, Any] | None = None) -> type[Optimizer]:
    if custom_objects and name in custom_objects:
        return custom_objects[name]  # type: ignore[no-any-return]  # the caller's word for it
    if name.lower() not in _CLASSES:
        raise unknown("optimizer", name, (cls.__name__ for cls in _CLASSES.values()))
    return _CLASSES[name.lower()]
