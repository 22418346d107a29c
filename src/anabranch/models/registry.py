"""The classes of models by the names that data give them, and models from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch._custom_objects import scope
from anabranch._errors import ArgumentError
from anabranch.models.model import Model
from anabranch.registry import Json, Registry, finder


class _Models(Registry[Model]):
    def address(self, kind: type) -> tuple[str, str]:
        """Return where Keras has a class of models: it writes models that are graphs as ``Functional``."""
        sequential = issubclass(kind, self.table["Sequential"])
        return ("keras", kind.__name__) if sequential else ("keras.src.models.functional", "Functional")


def _classes() -> dict[str, type[Model]]:
    from anabranch.models.sequential import Sequential  # which a graph does without

    return {"Functional": Model, "Model": Model, "Sequential": Sequential}


_registry = _Models("model", "keras.models", Model, _classes, callables=False)


def deserialize(config: Json, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return the model that JSON describes.

    Args:
        config: what ``serialize_keras_object`` returned for a model.
        custom_objects: the caller's own classes and functions by name.
    """
    return _registry.deserialize(config, custom_objects)


@finder
def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return a new model from what ``model.to_json`` returned, ours or Keras's (also that of Keras 2), with new weights.

    Args:
        json_string: the JSON.

    Raises:
        ArgumentError: no JSON, or a class or function in it is not known.

    Example:
        >>> from anabranch import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(2)])
        >>> model_from_json(model.to_json()).count_params()
        10
    """
    import json

    try:
        config = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError("This is no JSON.", got=f"{json_string!r}"[:120]) from error
    from anabranch.saving import legacy_config, reading  # which a description does without

    def model() -> Model:
        return deserialize(legacy_config.modernized(config) if isinstance(config, dict) else config)

    with scope(custom_objects):
        return reading.understood(model, "The JSON", ArgumentError)
