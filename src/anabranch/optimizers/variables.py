"""What an optimizer holds, as weights that can be read and assigned, in Keras's order of axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from anabranch import runtime
from anabranch.graph import Home, Weight, WeightOptions


class _Counted(Protocol):
    name: Any
    iterations: Any
    learning_rate: Any
    weights: Any


class _Attribute:
    """The engine of a weight that is an attribute of an optimizer: reads and sets it."""

    def __init__(self, optimizer: _Counted, attribute: str) -> None:
        self._optimizer, self._attribute = optimizer, attribute

    def native(self, weight: Weight) -> torch.Tensor:
        """Return the number as a scalar tensor."""
        return torch.tensor(getattr(self._optimizer, self._attribute), dtype=getattr(torch, weight.dtype))

    shown = native

    def write(self, weight: Weight, value: Any) -> None:
        """Set the number."""
        setattr(self._optimizer, self._attribute, value.item() if isinstance(value, torch.Tensor) else value)

    as_tensor = staticmethod(runtime.as_tensor)
    shape_of = staticmethod(runtime.shape_of)
    note_change = staticmethod(runtime.note_change)


def variables_of(
    optimizer: _Counted, engine: torch.optim.Optimizer | None, averages: Mapping[torch.nn.Parameter, torch.Tensor]
) -> list[Weight]:
    """Return the iteration, the learning rate where a number sets it, each weight's slots, and the averages."""
    home = Home(optimizer.name)
    found = [_number(optimizer, "iteration", "iterations", "int64", home)]
    if isinstance(vars(optimizer).get(":learning_rate", 0.0), float):
        found.append(_number(optimizer, "learning_rate", "learning_rate", "float32", home))
    state = engine.state if engine is not None else {}
    for weight in optimizer.weights:
        for slot, value in state.get(weight.tensor, {}).items():
            if isinstance(value, torch.Tensor) and value.shape == weight.tensor.shape:
                found.append(_held(weight, slot, value, home))
    for weight in optimizer.weights:
        if weight.tensor in averages:
            found.append(_held(weight, "average", averages[weight.tensor], home))
    return found


def _number(optimizer: _Counted, name: str, attribute: str, dtype: str, home: Home) -> Weight:
    return Weight(name, (), dtype, _UNTRAINED, home, _Attribute(optimizer, attribute))


def _held(weight: Weight, slot: str, value: torch.Tensor, home: Home) -> Weight:
    name = f"{weight.path.replace('/', '_')}_{slot}"
    found = Weight(name, weight.shape, weight.dtype, _UNTRAINED, home, runtime, weight.axes)
    found.tensor = value
    return found


def _unasked(shape: Any, dtype: Any = None) -> Any:
    raise NotImplementedError("the state of an optimizer has values already")


_UNTRAINED = WeightOptions(_unasked, trainable=False)
