"""Models through pickle, by data: the config, the values of weights, what ``compile`` took, the optimizer's state.

What the config cannot say by a name of ours (the user's classes and functions, torch's functions and modules) goes beside it,
as pickle does with each by itself: classes and functions by reference.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch._asked import method, module_of
from anabranch._carrying import carrying
from anabranch._errors import ArgumentTypeError
from anabranch._sharing import sharing
from anabranch.graph import Home
from anabranch.layers.base import Layer
from anabranch.models import editing

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.graph import Weight
    from anabranch.models.structure import Structure

_BY_VALUE = ("cloudpickle", "dill")  # packages that pickle functions by their code


def reduced(model: Structure, seen: object) -> tuple[Callable[..., Structure], tuple[Any, ...]]:
    """Return how a model is pickled: ``seen`` are its first data's shapes; classes and functions of the user's go by name."""
    beside: list[Any] = []
    with sharing(), carrying(beside):
        config = model.get_config()
    _check_names(model, beside)
    owners = {id(layer._home_): number for number, layer in enumerate(_layers(model))}
    weights = [
        (weight.numpy(), weight.trainable, weight.name, owners.get(id(weight.home), weight.home.path))
        for weight in _in_order(model)
    ]
    arguments = None if model._compiled_ is None else editing.compile_arguments(model._compiled_.arguments)
    shapes = seen if model.built else None
    learned = {number: data for number, layer in enumerate(_layers(model)) if (data := layer._learned_data_()) is not None}
    state = optimizer_state(model)
    return restored, (type(model), config, beside, shapes, weights, arguments, state, model.training, learned)


def restored(
    kind: Any,
    config: dict[str, Any],
    beside: list[Any],
    seen: Any,
    weights: list[tuple[Any, bool, str, int | str]],
    arguments: dict[str, Any] | None,
    state: dict[str, Any] | None,
    training: bool,
    learned: dict[int, Any],
) -> Structure:
    """Return the model that was pickled."""
    with sharing(reading=True), carrying(beside):
        model: Any = kind.from_config(config)
    if seen is not None and model._graph_ is None:
        model._seen_ = seen
        model._need_running_graph_()
    layers = _layers(model)
    for number, data in learned.items():
        layers[number]._take_learned_(data)
    for weight, (value, trainable, name, owner) in zip(_in_order(model), weights, strict=True):
        weight.trainable = trainable
        weight.assign(value)
        # one parameter of torch's may be in several functions, of which any may own it, one that the model lacks too
        weight.home, weight.name = Home(owner) if isinstance(owner, str) else layers[owner]._home_, name
    if arguments is not None:
        model.compile(**arguments)
    set_optimizer_state(model, state)
    if training:
        model.train()
    found: Structure = model
    return found


def optimizer_state(model: Structure) -> dict[str, Any] | None:
    """Return the state of a model's optimizer, and which weights it has by their position among all."""
    if model._compiled_ is None or not model.built:
        return None
    optimizer = model._compiled_.optimizer
    if not optimizer.weights:
        optimizer.build(model.trainable_weights)
    positions = {weight: position for position, weight in enumerate(_in_order(model))}
    return {
        "weights": [positions[weight] for weight in optimizer.weights if weight in positions],
        "state": _tree.map_leaves(_own, optimizer.state_dict()),
    }


def set_optimizer_state(model: Structure, state: dict[str, Any] | None) -> None:
    """Set what ``optimizer_state`` returned of a model with the same weights."""
    if state is None or model._compiled_ is None:
        return
    weights = _in_order(model)
    optimizer = model._compiled_.optimizer
    optimizer.build([weights[position] for position in state["weights"]])
    optimizer.load_state_dict(state["state"])


def _own(leaf: Any) -> Any:
    """Return a value, tensors as copies on the host: they may be a part of others, which pickle would write with each."""
    return leaf.detach().cpu().clone() if method(leaf, "detach") else leaf


def _layers(model: Structure) -> list[Layer]:
    return [layer for layer in model._inner_layers_() if isinstance(layer, Layer)]


def _in_order(model: Structure) -> list[Weight]:
    """Return a model's weights in an order that does not depend on which of them train."""
    return list(dict.fromkeys(weight for layer in model._inner_layers_() for weight in layer._own_weights_()))


def _check_names(model: Structure, beside: list[Any]) -> None:
    """Raise for a function that pickle would not find again, unless a package that pickles functions by their code is used."""
    if any(package in sys.modules for package in _BY_VALUE):
        return
    for thing in beside:
        if isinstance(thing, FunctionType) and ("<lambda>" in thing.__qualname__ or "<locals>" in thing.__qualname__):
            what = "a lambda" if thing.__name__ == "<lambda>" else f"{thing.__name__}(…), which was defined inside a function"
            raise ArgumentTypeError(
                f"Model {model.name!r} cannot be pickled: it holds {what}; pickle finds functions by their names.",
                where=f"{thing.__code__.co_filename}:{thing.__code__.co_firstlineno}, in {module_of(thing)}",
                repair="def it at the top of a module; or cloudpickle.dumps(model), which pickles its code",
            )
