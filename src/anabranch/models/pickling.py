"""Models through pickle, by data: the config, the values of weights, what ``compile`` took, and the user's own classes."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from anabranch import registry
from anabranch._asked import is_from
from anabranch._sharing import sharing
from anabranch.models import editing

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.graph import Weight
    from anabranch.models.structure import Structure


def reduced(model: Structure, seen: object) -> tuple[Callable[..., Structure], tuple[Any, ...]]:
    """Return how a model is pickled: ``seen`` are its first data's shapes; classes and functions of the user's go by name."""
    weights = [(weight.numpy(), weight.trainable) for weight in _in_order(model)] if model.built else []
    arguments = None if model._compiled is None else editing.compile_arguments(model._compiled.arguments)
    held = [thing for layer in model.inner_layers() for thing in (type(layer), *vars(layer).values())]
    classes = [thing for thing in held if isinstance(thing, (type, FunctionType)) and not is_from(thing, "anabranch")]
    own = {each.__name__: each for each in classes}
    with sharing():
        config = model.get_config()
    return restored, (type(model), config, seen, weights, arguments, own, model.training)


def restored(
    kind: Any,
    config: dict[str, Any],
    seen: Any,
    weights: list[tuple[Any, bool]],
    arguments: dict[str, Any] | None,
    own: dict[str, Any],
    training: bool,
) -> Structure:
    """Return the model that was pickled."""
    with registry.scope(own), sharing():
        model: Any = kind.from_config(config)
    if weights and seen is not None and model.graph is None:
        model._seen = seen
        model.need_running_graph()
    for weight, (value, trainable) in zip(_in_order(model) if weights else (), weights, strict=True):
        weight.trainable = trainable
        weight.assign(value)
    if arguments is not None:
        model.compile(**arguments)
    if training:
        model.train()
    found: Structure = model
    return found


def _in_order(model: Structure) -> list[Weight]:
    """Return a model's weights in an order that does not depend on which of them train."""
    return list(dict.fromkeys(weight for layer in model.inner_layers() for weight in layer.own_weights()))
