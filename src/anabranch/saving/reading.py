"""From JSON to a model, whatever kind of file it came in: built, compiled, and errors that name the file."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from anabranch import _custom_objects, config as settings, registry
from anabranch._errors import AnabranchError, FileFormatError
from anabranch._frames import bound_methods
from anabranch._sharing import sharing
from anabranch.graph import Operation
from anabranch.registry import Json
from anabranch.saving import keras_state, legacy_config

T = TypeVar("T")


class SavedModel(keras_state.Compiled, Protocol):
    """A model that can be saved."""

    def get_compile_config(self) -> dict[str, Json]:
        """Return the arguments of ``compile``."""

    def compile_from_config(self, config: dict[str, Json]) -> None:
        """Compile the model."""

    def get_build_config(self) -> dict[str, Json]:
        """Return what goes in."""

    def build_from_config(self, config: dict[str, Json]) -> None:
        """Make the weights."""


@bound_methods
class LayerHolder(abc.ABC):
    """What is no model, and is saved with the layers that it has learned: files have these under the names of attributes."""

    built = False

    @abc.abstractmethod
    def _saved_layers_(self) -> Operation:
        """Return a layer whose attributes have the layers."""

    @abc.abstractmethod
    def get_build_config(self) -> dict[str, Json]:
        """Return what the layers were built on."""

    @abc.abstractmethod
    def build_from_config(self, config: dict[str, Json]) -> None:
        """Build the layers."""


def parsed(text: str | bytes, source: str) -> dict[str, Json]:
    """Return the object that a text is as JSON.

    Args:
        text: the text.
        source: what errors call it.

    Raises:
        FileFormatError: it is no JSON, or no object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{source} is no JSON.", got=f"{type(error).__name__}: {error}"[:200]) from error
    if not isinstance(found, dict):
        raise FileFormatError(f"{source} is no JSON object.", got=str(found)[:120])
    return found


def model_of(
    config: Json, build: Json, compiled: Json, custom_objects: Mapping[str, Any] | None, source: str, part: str
) -> SavedModel | LayerHolder:
    """Return the model that a file describes, or what holds layers as one does, without weights.

    Args:
        config: its JSON.
        build: what goes in, where the JSON does not say so.
        compiled: the arguments of ``compile``; nothing where it is not to be compiled.
        custom_objects: the caller's own classes and functions by name.
        source: what errors call the file.
        part: what errors call the JSON in it.
    """
    with _custom_objects.scope(custom_objects), sharing(reading=True):
        model = understood(lambda: _built(config, build), f"{part} in {source}")
        if compiled and not isinstance(model, LayerHolder):
            arguments = legacy_config.modern_compile if legacy_config.is_old(config) else dict
            understood(lambda: model.compile_from_config(arguments(compiled)), f"What compile took, in {source},")
    return model


def _built(config: Json, build: Json) -> SavedModel | LayerHolder:
    strict = settings.strict_merges()
    settings.set_strict_merges(False)  # what Keras broadcast without a word was not refused when the model was made
    try:
        model = registry.deserialize(legacy_config.modernized(config))
    finally:
        settings.set_strict_merges(strict)
    if not (isinstance(model, LayerHolder) or (isinstance(model, Operation) and model._has_layers_)):
        raise FileFormatError("The file describes no model.", got=f"a {type(model).__name__}")
    found = model if isinstance(model, LayerHolder) else cast("SavedModel", model)
    if build and not found.built:
        found.build_from_config(build)
    return found


def understood(read: Callable[[], T], source: str, kind: type[AnabranchError] = FileFormatError) -> T:
    """Return what ``read`` returns; whatever a config of another form makes it raise becomes an error that says so."""
    try:
        return read()
    except AnabranchError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise kind(f"{source} cannot be understood.", got=f"{type(error).__name__}: {error}"[:200]) from error
