"""What comes from torch itself: parameters and modules that other code made, as weights and calls of ours."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch

from anabranch._errors import ArgumentTypeError
from anabranch.graph import Home, Weight
from anabranch.runtime import state
from anabranch.runtime.arrays import NAMES

_known: weakref.WeakValueDictionary[int, Weight] = weakref.WeakValueDictionary()  # a weight holds its tensor, so ids stay true


def weight_of(tensor: torch.Tensor, name: str, home: Home, engine: Any) -> Weight:
    """Return the weight that stands for a tensor of torch's; the same one whenever the same tensor comes."""
    known = _known.get(id(tensor))
    if known is None:
        known = Weight(
            name, tuple(tensor.shape), NAMES[tensor.dtype], lambda shape, dtype=None: tensor, home, engine,
            trainable=tensor.requires_grad,
        )  # fmt: skip
        known.tensor, known.assigned = tensor, True
        _known[id(tensor)] = known
    return known


def module_weights(module: Any, home: Home, engine: Any) -> list[Weight]:
    """Return a module's parameters and buffers as weights, in its own order and layout."""
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError("TorchModule wraps a torch.nn.Module.", got=f"{type(module).__name__}: {module!r}"[:200])
    named: Iterable[tuple[str, torch.Tensor]] = [*module.named_parameters(), *module.named_buffers()]
    return [weight_of(tensor, name.replace(".", "/"), home, engine) for name, tensor in named]


def run_module(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None) -> Any:
    """Run a module in the mode asked for; while a model is recorded, record the call of the whole module."""
    recorder = state.recorder()
    if recorder is not None:
        return recorder.module(module, args, kwargs)
    if training is not None and module.training != training:
        module.train(training)
    return module(*args, **kwargs)
