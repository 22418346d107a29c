"""``class_weight``: how much samples of each class count, as sample weights."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from numbers import Real

import numpy as np
import torch

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph.binding import Rule, Slots, bind

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
        )
    return {key: float(value) for key, value in found.items() if key is not None}


def class_weights_of(given: object, outputs: Slots) -> list[ClassWeights | None] | None:
    """Return the class weights of each output; None where there are none."""
    if given is None:
        return None
    if _is_by_output(given):
        optional = range(len(outputs.names))
        bound = bind(given, outputs, Rule("class_weight", lambda value: not _is_by_output(value), optional=optional))
        return [checked_class_weight(value) for value in bound]
    found = checked_class_weight(given)
    if len(outputs.names) == 1:
        return [found]
    raise ArgumentError(
        "class_weight does not say which output it is for.",
        expected=f"a dict of class weights for each of {outputs.described()}",
        got=repr(given)[:100],
        repair=f"class_weight={{{outputs.names[0]!r}: {given!r}}}"[:120],
    )


def _is_by_output(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, Mapping) for each in value.values())


def weighted(y: torch.Tensor | None, given: torch.Tensor | None, weights: ClassWeights | None) -> torch.Tensor | None:
    """Return the sample weights of one output, multiplied by the weight of each sample's class."""
    if y is None or weights is None:
        return given
    weight = sample_weights(y, weights)
    if given is None:
        return weight
    return weight * given.reshape(*given.shape, *[1] * max(weight.ndim - given.ndim, 0))


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
