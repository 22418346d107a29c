"""Whole models in ``.keras`` files: architecture, weights, what ``compile`` took, the optimizer's state. Files are data."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from anabranch import _custom_objects, registry
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, FileFormatError
from anabranch._files import reached
from anabranch.graph import Operation
from anabranch.graph.call_site import warn
from anabranch.registry import Json
from anabranch.saving import archive, assets, files, hdf5, keras_state, legacy_h5, origins, reading
from anabranch.saving.matching import Stored
from anabranch.saving.reading import LayerHolder, SavedModel

ENDING = ".keras"
FORMAT = 1  # of what we add; a reader refuses a greater one
KERAS_VERSION = "3.15.1"  # whose form is written
_OWN_OPTIONS = ("auto_scale_loss", "remat")  # of compile, which Keras's does not take


@checked
def save_model(
    model: SavedModel | LayerHolder,
    filepath: str | Path,
    overwrite: bool = True,
    zipped: bool | None = None,
    include_optimizer: bool = True,
) -> None:
    """Write a model to a ``.keras`` file, which Keras reads too; the file appears under its name only when it is whole.

    Args:
        model: the model, or a ``FeatureSpace``.
        filepath: the file, whose name ends in ``.keras``.
        overwrite: whether a file of that name is replaced; else it is an error.
        zipped: True or None; a folder in the place of a file is not written.
        include_optimizer: whether optimizer, losses and metrics are saved with it, so that training can go on.

    Raises:
        ArgumentTypeError: a part of the model is code, such as a lambda; the error says which layer, and where.
        FileError: the file could not be written; what was there before is untouched.

    Example:
        >>> from anabranch import Input, Model, layers, saving
        >>> x = Input((4,))
        >>> saving.save_model(Model(x, layers.Dense(2)(x)), "m.keras")
        >>> saving.load_model("m.keras").output_shape
        (None, 2)
    """
    if not (isinstance(model, LayerHolder) or (isinstance(model, Operation) and model._has_layers_)):
        raise ArgumentTypeError("model of save_model must be a model.", got=shown(model))
    path = _named(filepath)
    if zipped is False:
        raise ArgumentError("A model is saved as one file.", got="zipped=False", repair="leave zipped out")
    files.check_free(path, overwrite)
    if isinstance(model, LayerHolder):
        holder = model._saved_layers_()
        config = {**registry.serialize_shared(model), "build_config": model.get_build_config()}
        files.write(path, _whole(config, {}, holder, keras_state.layer_groups(holder)))
        return
    if not model.built:
        warn(f"Model {model.name!r} is saved without weights, as it has none yet; model.build((None, …)) makes them.")
    config = registry.serialize_shared(model)
    added: dict[str, Json] = {}
    build = model.get_build_config()
    if build:
        config["build_config"] = build
    if include_optimizer:
        compiled = model.get_compile_config()
        added["compile"] = {name: compiled.pop(name) for name in _OWN_OPTIONS if name in compiled}
        config["compile_config"] = compiled
    added.update(origins.lines(model), definitions=origins.definitions(model, config))
    groups = keras_state.groups(model, optimizer=include_optimizer)
    files.write(path, _whole(config, added, cast("Operation", model), groups))


def _whole(config: Json, added: dict[str, Json], layers: Operation, groups: Iterator[hdf5.Group]) -> bytes:
    """Return the file of an object with that config, of its layers' weights and their own files, and of what we add."""
    added = {"format": FORMAT, "version": sys.modules[registry.PACKAGE].__version__, **added}
    metadata = {
        "keras_version": KERAS_VERSION, "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"), "anabranch": added
    }  # fmt: skip
    return archive.written(
        {
            archive.METADATA: json.dumps(metadata).encode(),
            archive.CONFIG: json.dumps(config).encode(),
            archive.WEIGHTS: hdf5.written(groups),
            **assets.written(layers),
        }
    )


@checked
def load_model(
    filepath: str | Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Return the model of a ``.keras`` file that anabranch or Keras 3 wrote; nothing in the file is run or imported.

    Args:
        filepath: the file.
        custom_objects: the caller's own classes and functions by name.
        compile: whether to compile the model as it was, with the optimizer's state.
        safe_mode: must be True: code is never read from a file.

    Raises:
        FileFormatError: the file is damaged, or describes no model.
        ArgumentError: a class or function in it is not known; the error shows how to pass it.

    Example:
        >>> from anabranch import Sequential, layers, models
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2)])
        >>> model.compile("adam", loss="mse")
        >>> model.save("m.keras")
        >>> models.load_model("m.keras").optimizer.name
        'adam'
    """
    registry.check_safe_mode(safe_mode)
    path = _named(filepath, *legacy_h5.ENDINGS)
    with reached("read", path):
        folder = path.is_dir()
    if folder:
        raise ArgumentError("A model is read from one file.", got=f"the folder {path}", repair="save it again, zipped")
    source = str(path)
    with reached("read", path):
        data = path.read_bytes()
    if path.suffix in legacy_h5.ENDINGS:
        return _legacy_model(data, source, custom_objects, compile)
    members = archive.read(data, source)
    config, metadata = texts(members, source)
    added = _checked_additions(metadata, source)
    build, compiled = config.pop("build_config", None), config.pop("compile_config", None)
    arguments = _compile_arguments(compiled, added.get("compile", {}), source) if compile and compiled else None
    with _custom_objects.definitions(origins.places(added.get("definitions"))):
        model = reading.model_of(config, build, arguments, custom_objects, source, archive.CONFIG)
    if isinstance(model, LayerHolder):
        holder, owner = model._saved_layers_(), f"a {type(model).__name__}"
        keras_state.load_layers(holder, dict(hdf5.stored(members[archive.WEIGHTS], source)), source=source, owner=owner)
        assets.load(holder, members, source)
        return model
    origins.restore(model, added)
    keras_state.load(model, hdf5.stored(members[archive.WEIGHTS], source), source=source)
    assets.load(cast("Operation", model), members, source)
    return model


def _compile_arguments(compiled: Json, ours: Json, source: str) -> dict[str, Json]:
    """Return Keras's arguments of ``compile`` and those that we added."""
    if not (isinstance(compiled, dict) and isinstance(ours, dict)):
        raise FileFormatError(f"What compile took, in {source}, is no JSON object.", got=str((compiled, ours))[:120])
    return {**compiled, **ours}


def _legacy_model(data: bytes, source: str, custom_objects: Mapping[str, Any] | None, compile: bool) -> SavedModel:
    """Return the model of an ``.h5`` file."""
    legacy = legacy_h5.read(data, source)
    if legacy is None or legacy.config is None:
        raise FileFormatError(f"{source} holds weights, and no model.", repair="make the model, then model.load_weights(…)")
    compiled = legacy.training if compile else None
    model = reading.model_of(legacy.config, None, compiled, custom_objects, source, "model_config")
    if isinstance(model, LayerHolder):
        raise FileFormatError(f"{source} describes no model.", got=f"a {type(model).__name__}")
    legacy_h5.load_weights(model, legacy, source=source)
    if model.optimizer is not None:
        keras_state.load_optimizer(model, legacy_h5.optimizer_state(legacy, source), source)
    return model


def stored_weights(data: bytes, source: str) -> dict[str, Stored]:
    """Return the arrays of a ``.keras`` file by path."""
    return hdf5.stored(archive.read(data, source).get(archive.WEIGHTS, b""), source)


def texts(members: Mapping[str, bytes], source: str) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the config and the metadata of a ``.keras`` file, which must have all its members."""
    missing = [name for name in archive.MEMBERS if name not in members]
    if missing:
        raise FileFormatError(
            f"{source} is no .keras file.", expected=", ".join(archive.MEMBERS), got=f"no {', '.join(missing)}"
        )
    config, metadata = (reading.parsed(members[name], f"{name} in {source}") for name in (archive.CONFIG, archive.METADATA))
    return config, metadata


def _checked_additions(metadata: Mapping[str, Json], source: str) -> dict[str, Json]:
    """Return what we added; raise where the file is of a version that is not known here."""
    ours = metadata.get("anabranch")
    added = ours if isinstance(ours, dict) else {}
    number = added.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise FileFormatError(
            f"{source} was written by a newer anabranch.", expected=f"format {FORMAT}", got=f"format {number!r}",
            repair=f"pip install 'anabranch>={added.get('version')}'",
        )  # fmt: skip
    version = str(metadata.get("keras_version", ""))
    if version.partition(".")[0] not in ("", "2", "3"):
        raise FileFormatError(f"{source} was written by Keras {version}.", expected="a file of Keras 3")
    return added


def _named(filepath: str | Path, *more: str) -> Path:
    path = Path(filepath)
    if path.suffix not in (ENDING, *more):
        raise ArgumentError(
            "A model is saved in a .keras file.", expected=f"a name ending in {ENDING}", got=str(filepath),
            repair=f"{path.with_suffix(ENDING) if path.name else path / ('model' + ENDING)}",
        )  # fmt: skip
    return path
