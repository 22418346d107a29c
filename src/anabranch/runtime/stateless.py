"""Calls that compute with given values in the place of weights, which stay as they are; what they write is returned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch._asked import shown as described
from anabranch._errors import ArgumentError, NotReadyError, ShapeError
from anabranch.graph import Operation, Weight
from anabranch.graph.weight import IN_ORDER
from anabranch.runtime import state
from anabranch.runtime.arrays import as_tensor
from anabranch.runtime.layouts import in_keras_order
from anabranch.runtime.masks import Edge
from anabranch.runtime.reports import penalty
from anabranch.runtime.seeding import synchronise_seed
from anabranch.runtime.weights import realize, uncast


class Layer(Protocol):
    """What is called: a layer or a model."""

    built: bool

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes."""

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The others."""

    @property
    def name(self) -> str:
        """Its name."""

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Compute."""


class Replacing:
    """What tracers have in common that compute with other values of weights: the values, and what calls add to the loss."""

    def __init__(self, values: Mapping[Weight, torch.Tensor]) -> None:
        self.values = dict(values)
        self.losses: list[torch.Tensor] = []

    def loss(self, value: torch.Tensor | Proxy | float) -> None:
        """Take a loss that a layer adds."""
        self.losses.append(as_tensor(value))

    def inner_call(
        self, layer: Operation, args: tuple[object, ...], kwargs: dict[str, object], edges: Sequence[Edge]
    ) -> tuple[Any, list[object]] | None:
        """Have the layers inside another called as they are."""
        return None

    def ran(self, layer: Operation, result: _tree.Nest) -> None:
        """Take the penalty on what a layer gave."""
        if layer.activity_regularizer is not None:
            for value in _tree.leaves(result):
                self.loss(layer.activity_regularizer(value) / max(value.shape[0], 1))


class Substitution(Replacing):
    """The values of weights for a block, in torch's layout, and what calls inside it write and add to the loss: a tracer."""

    def weight(self, weight: Weight) -> torch.Tensor:
        """Return the value of a weight; of one that was given none, its own, or a copy where calls may change it in place."""
        if weight not in self.values:
            own = realize(weight)
            self.values[weight] = own if weight.trainable else own.detach().clone()
        return self.values[weight]

    def write(self, weight: Weight, value: torch.Tensor) -> None:
        """Take the value that a call assigns."""
        self.values[weight] = value.to(getattr(torch, weight.dtype))

    def module(self, module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> _tree.Nest:
        """Call a third-party module with the values of its parameters and buffers."""
        known = {id(weight.tensor): value for weight, value in self.values.items()}
        held = (*module.named_parameters(), *module.named_buffers())
        replaced = {name: known[id(tensor)] for name, tensor in held if id(tensor) in known}
        return torch.func.functional_call(module, replaced, args, kwargs)

    def watch(self, metric: state.Watched, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Leave a metric as it is."""


@contextlib.contextmanager
def substituting(values: Mapping[Weight, torch.Tensor]) -> Iterator[Substitution]:
    """Compute with ``values`` inside the block."""
    synchronise_seed()
    substitution = Substitution(values)
    with state.tracing(substitution):
        yield substitution


def as_value(weight: Weight, value: object) -> torch.Tensor:
    """Return a value for a weight, given in Keras's axis order, in torch's layout; of a Weight its own."""
    found = uncast(value).detach() if isinstance(value, Weight) else as_tensor(in_keras_order(value, weight))
    if tuple(found.shape) != weight.shape:
        turned = weight.axes is not None and tuple(found.shape) == weight.native_shape
        raise ShapeError(
            f"The value for weight {weight.path!r} has another shape.", expected=str(weight.shape),
            got=f"{tuple(found.shape)}, its shape in torch's layout" if turned else str(tuple(found.shape)),
            repair=IN_ORDER if turned else None,
        )  # fmt: skip
    return weight.to_native(found.to(getattr(torch, weight.dtype)))


def values_for(
    weights: Sequence[Weight], values: Sequence[object], argument: str, *, copied: bool
) -> dict[Weight, torch.Tensor]:
    """Return a value for each weight; ``copied`` where calls may change it in place."""
    if not isinstance(values, (list, tuple)) or len(values) != len(weights):
        raise ArgumentError(
            f"{argument} must be a list of one value for each of the {len(weights)} weights.",
            got=f"{len(values)} values" if isinstance(values, (list, tuple)) else described(values),
            expected=", ".join(weight.path for weight in weights)[:400] or "[]",
        )  # fmt: skip
    found = {weight: as_value(weight, value) for weight, value in zip(weights, values, strict=True)}
    return {weight: value.clone() for weight, value in found.items()} if copied else found


def stateless_values(layer: Layer, trained: Sequence[object], others: Sequence[object]) -> dict[Weight, torch.Tensor]:
    """Return the values of a layer's weights, as ``trainable_variables`` and ``non_trainable_variables`` list them."""
    if not layer.built:
        raise NotReadyError(
            f"{layer.name!r} has no weights yet, so it cannot be called with other values of them.",
            repair="call it on data, or build((None, …)), first",
        )  # fmt: skip
    return {
        **values_for(layer.trainable_weights, trained, "trainable_variables", copied=False),
        **values_for(layer.non_trainable_weights, others, "non_trainable_variables", copied=True),
    }


def stateless_call(
    layer: Layer,
    trained: Sequence[object],
    others: Sequence[object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    *,
    losses: bool,
) -> tuple[Any, ...]:
    """Return what a layer computes with values of its weights, those of the untrained afterwards, and the ``losses``."""
    with substituting(stateless_values(layer, trained, others)) as substitution:
        outputs = layer(*args, **kwargs)
        penalties = [penalty(weight) for weight in layer.trainable_weights if losses and weight.regularizer is not None]
    after = [weight.from_native(substitution.values[weight]) for weight in layer.non_trainable_weights]
    return (outputs, after, [*substitution.losses, *penalties]) if losses else (outputs, after)
