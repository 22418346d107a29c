"""What must not differ where a run is resumed: the model, what ``compile`` was given, the data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from anabranch import _tree, registry
from anabranch._asked import name_of
from anabranch._errors import AnabranchError
from anabranch.registry import Json
from anabranch.saving.weights import weight_paths
from anabranch.training.compiled import Compiled
from anabranch.training.trainable import Trainable


def model_identity(model: Trainable) -> dict[str, Json]:
    """Return each weight's shape and dtype, and each layer's class with a checksum of its settings."""
    found: dict[str, Json] = {}
    for path, weight in weight_paths(model).items():
        found[f"weight {path}"] = f"{weight.dtype} {tuple(weight.shape)}"
    for index, layer in enumerate(model._inner_layers_()):
        if layer._graph_ is None:
            found[f"layer {index}"] = f"{type(layer).__name__} {layer.name!r}, settings {_digest(layer)}"
    found["graph"] = _digest(model)
    return found


def compile_identity(compiled: Compiled) -> dict[str, Json]:
    """Return what ``compile`` was given for optimizer, losses and metrics, as JSON."""
    given = {"optimizer": compiled.optimizer, **compiled.given._asdict()}
    return {name: _text(value) for name, value in given.items()}


def _digest(thing: Any) -> str:
    return hashlib.blake2b(_text(thing).encode(), digest_size=6).hexdigest()


def _text(value: Any) -> str:
    """Return an object as JSON; what has none by the names of its classes and functions."""
    try:
        return json.dumps(registry.serialize_shared(value), sort_keys=True, default=_name)
    except (AnabranchError, NotImplementedError, TypeError, ValueError):
        return json.dumps(_tree.map_leaves(_name, value) if _tree.is_nest(value) else _name(value), sort_keys=True)


def _name(value: object) -> str:
    return name_of(value) or type(value).__name__
