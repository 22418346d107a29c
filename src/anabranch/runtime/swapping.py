"""Values in the place of weights, as ``torch.func.functional_call`` and ``torch.export`` put them there and take them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from anabranch import _tree
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Operation, Weight
from anabranch.runtime import state
from anabranch.runtime.stateless import Replacing
from anabranch.runtime.third_party import known_weight
from anabranch.runtime.weights import realize


class Tensors(dict[str, torch.Tensor]):
    """Tensors of weights by name, as a module's ``_parameters`` are; to set one has the layer compute with it for now."""

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._weights = weights
        super().__init__({name: _now(weight) for name, weight in weights.items()})

    def __setitem__(self, name: str, value: torch.Tensor) -> None:
        weight = self._weights.get(name)
        if weight is None or not isinstance(value, torch.Tensor):
            raise ArgumentError(
                "Only a tensor takes the place of a weight, and only by its name.", expected=", ".join(self._weights),
                got=f"{name!r}: {shown(value)}", repair="model.to_torch() for a module whose parts can be exchanged",
            )  # fmt: skip
        _swap(weight, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(
            f"Parameter {name!r} of a layer cannot be removed.", expected="a torch module",
            repair="model.to_torch(), whose modules can be pruned and parametrized; they share the weights",
        )  # fmt: skip


class _Swapped(TorchFunctionMode, Replacing):  # type: ignore[misc]  # torch leaves its modes untyped
    """The values of weights while some are swapped: a tracer. What calls write goes into these values, as in torch.

    As a mode it gives functions of torch the values of parameters that a user's ``call`` reads from attributes.
    """

    def __init__(self) -> None:
        TorchFunctionMode.__init__(self)
        Replacing.__init__(self, {})
        self.held: dict[int, torch.Tensor] = {}  # by the parameter of torch's in whose place it is

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call one of torch's functions."""
        if self.held:
            args, kwargs = tree_map_only(torch.Tensor, lambda leaf: self.held.get(id(leaf), leaf), (args, kwargs))
        return func(*args, **(kwargs or {}))

    def weight(self, weight: Weight) -> torch.Tensor:
        """Return the value of a weight, its own tensor where none was swapped."""
        value = self.values.get(weight)
        return realize(weight) if value is None else value

    def write(self, weight: Weight, value: torch.Tensor) -> None:
        """Write what a call assigns."""
        with torch.no_grad():
            self.weight(weight).copy_(value)

    def module(self, module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> _tree.Nest:
        """Call a third-party module, whose own parameters torch has swapped."""
        return module(*args, **kwargs)

    def watch(self, metric: state.Watched, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Update a metric."""
        metric.update_state(*args, **kwargs)

    def ran(self, layer: Operation, result: _tree.Nest) -> None:
        """Store what a layer adds to the loss with the layer."""
        super().ran(layer, result)
        for loss in self.losses:
            state.hold_loss(layer, loss)
        self.losses = []


def _now(weight: Weight) -> torch.Tensor:
    tracer = state.tracer()
    return tracer.weight(weight) if isinstance(tracer, _Swapped) else realize(weight)


def _swap(weight: Weight, value: torch.Tensor) -> None:
    """Compute with a value in the place of a weight's own, until that is set again."""
    own, tracer = realize(weight), state.tracer()
    if tracer is not None and not isinstance(tracer, _Swapped):
        raise ArgumentError(
            f"Weight {weight.path!r} cannot be swapped inside a call that is traced.",
            repair="functional_call outside of layers' call, or model.to_torch() in the place of the model inside",
        )
    if value.shape != own.shape:
        raise ShapeError(
            f"The value for weight {weight.path!r} has another shape.", expected=f"{tuple(own.shape)}, in torch's layout",
            got=str(tuple(value.shape)),
        )  # fmt: skip
    swapped = tracer
    if swapped is None:
        swapped = _Swapped()
        swapped.__enter__()  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
        state.set_tracer(swapped)
    if value is own:
        swapped.values.pop(weight, None)
        swapped.held.pop(id(own), None)
    else:
        swapped.values[weight] = value
        if known_weight(own) is weight:
            swapped.held[id(own)] = value
    if not swapped.values:
        state.set_tracer(None)
        swapped.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
