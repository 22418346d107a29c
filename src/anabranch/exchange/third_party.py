"""Modules of other authors as code: torch's own say in their ``repr`` how they are made."""

from __future__ import annotations

import torch
from torch import nn


def constructor(module: nn.Module) -> str | None:
    """Return the code that makes a module like ``module``, None where that is not known.

    >>> constructor(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    'nn.Sequential(nn.Linear(in_features=3, out_features=2, bias=True), nn.ReLU())'
    """
    name = type(module).__name__
    if vars(nn).get(name) is not type(module):
        return None
    if type(module) is nn.Sequential:
        parts = [constructor(part) for part in module]
        return None if None in parts else f"nn.Sequential({', '.join(map(str, parts))})"
    if next(module.children(), None) is not None:
        return None
    code = f"nn.{name}({module.extra_repr()})"
    try:
        with torch.device("meta"):
            twin = eval(code, {"nn": nn, "torch": torch})  # a name of torch's and what its own class says of its settings
    except Exception:
        return None
    return code if _alike(twin, module) else None


def _alike(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two modules have the same settings and the same sizes of weights."""
    if repr(one) != repr(other):
        return False
    sizes = [[(name, value.shape, value.dtype) for name, value in module.state_dict().items()] for module in (one, other)]
    return sizes[0] == sizes[1]
