"""Weights in files: as Keras has them or by path, in one file or in shards; written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError
from anabranch._files import reached
from anabranch.graph import AnyModel, Operation, Weight
from anabranch.graph.call_site import warn
from anabranch.graph.paths import owners
from anabranch.saving import files, hdf5, keras_file, keras_state, legacy_h5, matching, safetensors_format, sharded
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored, Wanted, of_weight

HDF5, SAFETENSORS = ".weights.h5", ".safetensors"
BY_PATH = (SAFETENSORS, sharded.SAFETENSORS_INDEX)  # whose arrays have paths of ours
WHOLE = keras_file.ENDING  # from which load_weights takes the weights alone


def weight_paths(model: AnyModel) -> dict[str, Weight]:
    """Return every weight of a model by its path there, e.g. ``backbone/conv2d/kernel``; a shared weight once."""
    found: dict[str, Weight] = {}
    seen: set[Weight] = set()
    for prefix, owner in owners(model):
        for weight in owner.weights if owner._graph_ is None else ():
            if weight not in seen:
                seen.add(weight)
                path = prefix + weight.path.removeprefix(owner.path + "/")
                while path in found:  # parts of two other models inside one layer
                    path += "_"
                found[path] = weight
    return found


@checked
def save_weights(
    model: keras_state.Compiled, filepath: str | Path, overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Write all weights in Keras's axis order; the file appears under its name only when it is whole.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.weights.h5``, which Keras reads, or in ``.safetensors``; with
            ``max_shard_size`` that of the index, in ``.weights.json`` or ``.safetensors.index.json``.
        overwrite: whether a file of that name is replaced; else it is an error.
        max_shard_size: how many GB of values a file holds at most; the weights are written in as many as it takes, beside
            an index that says what is where.

    Raises:
        FileError: the file could not be written; what was there before is untouched.

    Example:
        >>> import os
        >>> from anabranch import Sequential, layers, saving
        >>> saving.save_weights(Sequential([layers.Input((4,)), layers.Dense(2)]), "w.safetensors")
        >>> os.listdir()
        ['w.safetensors']
    """
    path = checked_name(Path(filepath))
    check_model(model, "save_weights")
    if max_shard_size is not None:
        path = index_name(path, max_shard_size)
    elif path.name.endswith(sharded.INDICES):
        raise ArgumentError(
            "The index of several files is written where their size is given.", got=str(filepath),
            repair="save_weights(…, max_shard_size=5), in GB",
        )  # fmt: skip
    files.check_free(path, overwrite)
    if not model.built:
        raise NotReadyError(f"Model {model.name!r} has no weights yet.", repair="build it first: model.build((None, …))")
    if path.name.endswith((HDF5, sharded.HDF5_INDEX)):
        groups = list(keras_state.groups(model))
    else:
        groups = [Group("", None, {path: of_weight(weight)}) for path, weight in weight_paths(model).items()]
    write(path, groups, max_shard_size)


def write(path: Path, groups: Sequence[Group], max_shard_size: float | None = None) -> None:
    """Write arrays in the format that a name ends in."""
    if max_shard_size is not None:
        sharded.save(path, groups, max_shard_size * sharded.GIGABYTE)
    elif path.name.endswith(HDF5):
        files.write(path, hdf5.written(groups))
    else:
        files.write(path, safetensors_format.written({key: each for group in groups for key, each in group.arrays.items()}))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Stored]]:
    """Yield the arrays of a file by path, of any format that its name may end in; they are read while it is open."""
    with contextlib.ExitStack() as stack:
        if path.name.endswith(sharded.INDICES):
            yield sharded.stored(path, stack)
            return
        with reached("read", path):
            file = stack.enter_context(path.open("rb"))
        if path.name.endswith(SAFETENSORS):
            yield safetensors_format.stored(file, str(path))
        elif path.suffix in legacy_h5.ENDINGS:
            yield hdf5.stored(file, str(path))
        else:
            with reached("read", path):
                data = file.read()
            yield keras_file.stored_weights(data, str(path))


@checked
def load_weights(model: keras_state.Compiled, filepath: str | Path, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Read all weights by path and shape; nothing changes unless every one of them fits.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.weights.h5``, ``.keras`` or ``.h5``, as Keras has it, or ``.safetensors``; or
            the index of several, ``.weights.json`` or ``.safetensors.index.json``.
        skip_mismatch: load what fits and warn of the rest: in HDF5 a layer fits as a whole or not at all.
        by_name: of ``.h5`` files, as Keras 2 wrote them: layers are found by their names, and others left out.

    Raises:
        FileFormatError: the file is damaged, or weights are missing, left over or of another shape.

    Example:
        >>> from anabranch import Input, Model, layers, saving
        >>> x = Input((4,))
        >>> first, second = Model(x, layers.Dense(2)(x)), Model(x, layers.Dense(2)(x))
        >>> saving.save_weights(first, "w.safetensors")
        >>> saving.load_weights(second, "w.safetensors")
        >>> bool((first.weights[0].numpy() == second.weights[0].numpy()).all())
        True
    """
    check_model(model, "load_weights")
    path = checked_name(Path(filepath), reading=True)
    if not model.built:
        raise NotReadyError(
            f"Model {model.name!r} has no weights yet, so none can be given values.",
            repair="build it first: call it on data, or model.build((None, …))",
        )
    if path.suffix in legacy_h5.ENDINGS:
        with reached("read", path):
            file = path.open("rb")
        with file:
            legacy = legacy_h5.read(file, str(path))
            if legacy is not None:
                legacy_h5.load_weights(model, legacy, source=str(path), by_name=by_name, skip_mismatch=skip_mismatch)
                return
    if by_name:
        raise ArgumentError(
            "by_name=True is for .h5 files that name their layers, as Keras 2 wrote them.",
            got=str(path),
            repair="leave by_name out",
        )
    with opened(path) as stored:
        if not path.name.endswith(BY_PATH) or in_keras_form(stored):
            keras_state.load(model, stored, source=str(path), skip_mismatch=skip_mismatch)
            return
        wanted = {name: Wanted(weight, name, name) for name, weight in weight_paths(model).items()}
        matching.fill(wanted, stored, source=str(path), owner=f"model {model.name!r}", skip_mismatch=skip_mismatch)


def in_keras_form(paths: Iterable[str]) -> bool:
    """Return whether arrays are under Keras's paths, such as ``layers/dense/vars/0``, whatever the format."""
    return all(path == "vars" or path.endswith("/vars") for path in (path.rpartition("/")[0] for path in paths))


def index_name(path: Path, max_shard_size: float) -> Path:
    """Return the name of the index, where that of a single file was given."""
    if not max_shard_size > 0:
        raise ArgumentError("max_shard_size must be positive, in GB.", got=shown(max_shard_size))
    index = sharded.index_of(path)
    if index != path:
        warn(f"With max_shard_size several files are written, and their index {index.name} in the place of {path.name}.")
    return index


def check_model(model: object, function: str) -> None:
    """Raise where something else is given for a model or a layer."""
    if not isinstance(model, Operation):
        raise ArgumentTypeError(f"model of {function} must be a model or a layer.", got=shown(model))


def checked_name(path: Path, *, reading: bool = False) -> Path:
    """Return a path whose name says in which format weights are saved; more serve for ``reading``."""
    endings = (HDF5, SAFETENSORS, *sharded.INDICES, *((WHOLE, *legacy_h5.ENDINGS) if reading else ()))
    if not path.name.endswith(endings):
        raise ArgumentError(
            "The name of a file of weights says how they are saved.", expected=f"a name ending in {' or '.join(endings)}",
            got=str(path), repair=f"{path.with_suffix('').with_suffix('') if path.name else path / 'model'}{HDF5}",
        )  # fmt: skip
    return path
