"""Objects as JSON in the form of Keras 2: a class by its name alone, found in tables that the caller gives."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from anabranch import _custom_objects, registry
from anabranch._arguments import checked
from anabranch._asked import method, name_of, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch.registry import Json

_NESTED = "__passive_serialization__"  # marks an object inside a config


@checked
def serialize_keras_object(instance: object) -> Json:
    """Return an object as ``{"class_name", "config"}``, a function as its name; ``saving.serialize_keras_object`` says more.

    Args:
        instance: what has ``get_config``, a function, or None.

    Raises:
        ArgumentTypeError: it is none of these.

    Example:
        >>> from anabranch import constraints
        >>> serialize_keras_object(constraints.MaxNorm(3))
        {'class_name': 'MaxNorm', 'config': {'max_value': 3, 'axis': 0}}
    """
    if instance is None:
        return None
    if not isinstance(instance, type) and method(instance, "get_config") is not None:
        config = {key: _inside(value) for key, value in instance.get_config().items()}  # type: ignore[attr-defined]  # it has one
        return {"class_name": _custom_objects.get_registered_name(type(instance)), "config": config}
    if name_of(instance):
        return _custom_objects.get_registered_name(instance)
    raise ArgumentTypeError("Expected an object with get_config, or a function.", got=shown(instance))


def _inside(value: Any) -> Json:
    """Return a value of a config: an object in it as JSON, which is marked; plain values as they are."""
    if method(value, "get_config") is not None:
        return {**serialize_keras_object(value), _NESTED: True}
    return serialize_keras_object(value) if callable(value) and name_of(value) else value


@checked
def deserialize_keras_object(
    identifier: Json,
    module_objects: Mapping[str, object] | None = None,
    custom_objects: Mapping[str, object] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Return what ``serialize_keras_object`` made this JSON of: found in scope, among what is registered, or in the tables.

    Args:
        identifier: the JSON, a name, or a function, which is returned as it is.
        module_objects: the classes and functions that names may mean, such as ``globals()``.
        custom_objects: the caller's own.
        printable_module_name: what errors call the object.

    Raises:
        ArgumentError: a name is not known, or ``identifier`` is none of these.

    Example:
        >>> from anabranch import constraints
        >>> config = serialize_keras_object(constraints.MaxNorm(3))
        >>> deserialize_keras_object(config, module_objects=vars(constraints))
        MaxNorm(max_value=3, axis=0)
    """
    if identifier is None or inspect.isfunction(identifier):
        return identifier
    if isinstance(identifier, str):
        found = _known(identifier, module_objects, custom_objects, printable_module_name)
        return registry.made(found, {}) if isinstance(found, type) else found
    if not isinstance(identifier, Mapping) or "class_name" not in identifier or "config" not in identifier:
        raise ArgumentError(
            f"That describes no {printable_module_name}.", expected='{"class_name": …, "config": {…}}', got=shown(identifier)
        )
    kind = _known(str(identifier["class_name"]), module_objects, custom_objects, printable_module_name)
    with _custom_objects.scope(custom_objects):
        config = identifier["config"]
        if isinstance(config, Mapping):
            config = {key: _revived(key, value, module_objects, custom_objects) for key, value in config.items()}
        return registry.made(kind, config)


def _revived(key: str, value: Json, modules: Mapping[str, object] | None, custom: Mapping[str, object] | None) -> Any:
    """Return a value of a config: marked objects, and functions that the tables have by name."""
    if key == "name":
        return value
    if isinstance(value, Mapping) and _NESTED in value:
        return deserialize_keras_object(value, modules, custom, f"config of {key}")
    if isinstance(value, str) and inspect.isfunction(found := _custom_objects.get_registered_object(value, custom, modules)):
        return found
    return value


def _known(name: str, modules: Mapping[str, object] | None, custom: Mapping[str, object] | None, kind: str) -> Any:
    found = _custom_objects.get_registered_object(name, custom, modules)
    if found is None:
        raise unknown(kind, name, {**(modules or {}), **(custom or {})})
    return found
