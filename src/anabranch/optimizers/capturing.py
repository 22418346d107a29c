"""What training asks of an optimizer whose update is captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.update import ListUpdate

_PLAIN = (int, float, str, type(None))
_COUNTED = frozenset((":learning_rate", "_updates_", "_parts_"))  # what a captured update does not depend on


def is_capturable(optimizer: Optimizer) -> bool:
    """Return whether each update does the same work, so that a graph of it may be replayed.

    The first update makes state, so it is not the one to capture. Optimizers with a ``step`` of their own decide in Python.
    """
    same = not optimizer.gradient_accumulation_steps and not (optimizer.use_ema and optimizer.ema_overwrite_frequency)
    return same and type(optimizer).step is Optimizer.step and optimizer._updates_lists_


def hold_numbers(optimizer: Optimizer, device: torch.device | None) -> None:
    """Hold learning rate and step size as tensors on a device, where a captured update reads them; None for plain numbers."""
    optimizer._numbers_.hold(device, 2 + len(optimizer.further_numbers(0.0, 1)))


def bound_to(optimizer: Optimizer) -> tuple[Any, ...]:
    """Return what a captured update goes on using: numbers, constraints, and the addresses of its tensors."""
    engine = optimizer._engine_
    numbers = {key: value for key, value in vars(optimizer).items() if key not in _COUNTED and isinstance(value, _PLAIN)}
    tensors = [*optimizer._numbers_.tensors, *optimizer._averages_.values.values()]
    constraints = [(w.constraint, dict(_attributes(w.constraint))) for w in optimizer.weights if w.constraint is not None]
    groups = engine.groups if isinstance(engine, ListUpdate) else None
    return numbers, constraints, engine, groups, [tensor.data_ptr() for tensor in tensors]


def _attributes(thing: object) -> Mapping[str, Any]:
    return getattr(thing, "__dict__", {})  # functions and slotted objects too


def advance(optimizer: Optimizer) -> None:
    """Do what belongs to the replay of a captured update: set its numbers, and count it."""
    optimizer._prepare_()
    torch.autograd.graph.increment_version(optimizer._parameters_)
    optimizer._count_()
