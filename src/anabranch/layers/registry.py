"""The layers by the names that data give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch import layers
from anabranch.layers.base import Layer
from anabranch.registry import Json, Registry, finder, writer


def _classes() -> dict[str, Any]:
    found = {name: getattr(layers, name) for name in dir(layers)}
    return {name: thing for name, thing in found.items() if isinstance(thing, type) and issubclass(thing, Layer)}


_registry: Registry[Layer] = Registry("layer", "keras.layers", Layer, _classes, callables=False)


@writer
def serialize(layer: Layer) -> Json:
    """Return a layer as JSON: ``{"module", "class_name", "config", "registered_name"}``.

    Args:
        layer: the layer, or a model.

    Example:
        >>> from anabranch.layers import Flatten
        >>> serialize(Flatten())["class_name"]
        'Flatten'
    """
    return _registry.serialize(layer)


@finder
def deserialize(config: Json, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """Return the layer that ``serialize`` described, with new weights.

    Example:
        >>> from anabranch.layers import Flatten
        >>> deserialize(serialize(Flatten(name="flat"))).name
        'flat'
    """
    return _registry.deserialize(config, custom_objects)
