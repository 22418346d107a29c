"""Where Keras puts the variables of each layer in a file: ``layers/conv2d_1/vars/0``. Classes count, not names.

Keras walks over attributes: a model's ``layers`` first, then what else it and each layer have by name, private names last. A
list or dict numbers what it holds by class: ``dense``, ``dense_1``; a list in a list is a ``container``. What was met before is
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from anabranch.graph import Operation, Weight
from anabranch.graph.weight import in_file_order

_OF_EVERY_LAYER = frozenset((  # attributes that Keras does not look into, as each of its layers has them
    "activity_regularizer", "compute_dtype", "dtype", "dtype_policy", "input", "input_spec", "losses", "metrics",
    "metrics_variables", "name", "output", "path", "quantization_mode", "supports_masking", "trainable_variables",
    "trainable_weights", "variable_dtype", "variables", "weights",
))  # fmt: skip


_Container: TypeAlias = "list[object] | tuple[object, ...] | dict[object, object]"


class Owned(NamedTuple):
    """The variables of one layer.

    Args:
        path: of its group in a file; ``vars`` alone for the model itself.
        layer: the layer.
        weights: its own weights in Keras's order: those made to be trained first.
    """

    path: str
    layer: Operation
    weights: Sequence[Weight]


def owned(model: Operation) -> Iterator[Owned]:
    """Yield a model's layers, each once, in the order in which Keras meets them; a weight of two layers is with both."""
    layers = set[Operation]()
    stack: list[tuple[str, Operation]] = [("", model)]
    while stack:
        path, layer = stack.pop()
        if layer in layers:
            continue
        layers.add(layer)
        yield Owned(f"{path}vars", layer, in_file_order(layer._own_weights_()))
        stack += reversed([(f"{path}{name}/", child) for name, child in _children(layer)])


def _children(layer: Operation) -> Iterator[tuple[str, Operation]]:
    """Yield the layers that one holds, under their names in its group."""
    members: list[tuple[str, object]] = [
        (key.removeprefix(":"), value)  # by which settings are stored
        for key, value in layer._held_attributes_() if key not in _OF_EVERY_LAYER and not key.startswith("__")
    ]  # fmt: skip
    if layer._has_layers_ and layer._graph_ is None:
        members.append(("layers", layer._sublayers_()))
    members.sort(key=lambda member: "~" + member[0] if member[0].startswith("_") else member[0])
    if layer._graph_ is not None:
        members.insert(0, ("layers", layer._sublayers_()))
    members.append(("~", layer._sublayers_()))  # those that no attribute leads to
    for key, value in members:
        if isinstance(value, Operation):
            yield key, value
        elif isinstance(value, (list, tuple, dict)):
            yield from _contained(key, value)


def _contained(path: str, container: _Container) -> Iterator[tuple[str, Operation]]:
    """Yield the layers in a list or dict, and in the lists inside it."""
    seen = set[int]()
    stack: list[tuple[str, object]] = [(path, container)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, Operation):
            yield path, item
        elif isinstance(item, (list, tuple, dict)) and id(item) not in seen:
            seen.add(id(item))
            counts: dict[str, int] = {}
            items = item.values() if isinstance(item, dict) else item
            stack += reversed([(f"{path}/{_numbered(_kind(each), counts)}", each) for each in items if _kind(each)])


def _kind(item: object) -> str:
    """Return what an item of a container is called and counted by; nothing where it is not looked at."""
    if isinstance(item, Operation):
        return keras_name(item)
    return "container" if isinstance(item, (list, tuple, dict)) else ""


def keras_name(layer: Operation) -> str:
    """Return what Keras calls a layer of that class in a file: a graph of layers is ``functional``.

    >>> from anabranch import layers
    >>> keras_name(layers.Conv2D(8, 3, name="first"))
    'conv2d'
    """
    return layer._base_name_


def _numbered(name: str, counts: dict[str, int]) -> str:
    counts[name] = counts.get(name, -1) + 1
    return f"{name}_{counts[name]}" if counts[name] else name
