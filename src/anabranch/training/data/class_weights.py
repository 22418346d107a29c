"""``class_weight``: how much samples of each class count, as sample weights."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from numbers import Real

import numpy as np
import torch

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph.binding import Slots

ClassWeights = dict[int, float]


def checked_class_weight(given: object) -> ClassWeights | None:
    """Return the weight of each class index; keys such as ``1.0``, as read from data, mean the integer."""
    if given is None:
        return None
    found = {_class_index(key): value for key, value in given.items()} if isinstance(given, Mapping) else {}
    if not isinstance(given, Mapping) or None in found or not all(map(_is_weight, found.values())):
        raise ArgumentTypeError(
            "class_weight must be a dict from class index to weight.",
            expected="e.g. {0: 1.0, 1: 5.0}",
            got=repr(given)[:100],
            repair=_repair(given),
        )
    return {key: float(value) for key, value in found.items() if key is not None}


def refuse_several_outputs(outputs: Slots) -> None:
    """Raise where a model has several outputs, as one dict of classes cannot be meant for all."""
    if len(outputs.names) != 1:
        raise ArgumentError(
            "class_weight is for models with one output.",
            got=outputs.described(),
            repair="sample_weight={output name: weights} weighs each output",
        )


def sample_weights(y: torch.Tensor, weights: ClassWeights) -> torch.Tensor:
    """Return each sample's weight by its class, 1 for classes not named; shape of ``y`` without its class axis.

    ``y`` is one-hot, shape (N, …, C), or class indices, shape (N,) or (N, 1).
    """
    if y.ndim > 1:
        y = y.squeeze(-1) if y.shape[-1] == 1 else y.argmax(-1)
    labels = y.round().long() if y.is_floating_point() else y.long()
    known = {key: value for key, value in weights.items() if key >= 0}
    table = torch.ones(max(known, default=0) + 2, device=y.device)
    for key, value in known.items():
        table[key] = value
    other = len(table) - 1
    return table[torch.where((labels >= 0) & (labels < other), labels, other)]


def _class_index(key: object) -> int | None:
    if isinstance(key, (float, np.floating)):
        return int(key) if float(key).is_integer() else None
    try:
        return operator.index(key)  # type: ignore[arg-type]  # what has no index raises
    except TypeError:
        return None


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) or (isinstance(value, torch.Tensor) and value.ndim == 0)


def _repair(given: object) -> str | None:
    inner = [value for value in given.values() if isinstance(value, Mapping)] if isinstance(given, Mapping) else []
    if not inner:
        return None
    alone = f"class_weight={inner[0]!r} for a model with one output; " if len(inner) == 1 else ""
    return f"{alone}sample_weight={{output name: weights}} weighs each of several outputs"
