"""Weights in files: ``.weights.h5`` as Keras has them, or ``.safetensors`` by path; written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError
from anabranch._files import reached
from anabranch.graph import AnyModel, Operation, Weight
from anabranch.saving import files, hdf5, keras_file, keras_state, matching, safetensors_format
from anabranch.saving.matching import Wanted

HDF5, SAFETENSORS = ".weights.h5", ".safetensors"
WHOLE = keras_file.ENDING  # from which load_weights takes the weights alone


def weight_paths(model: AnyModel) -> dict[str, Weight]:
    """Return every weight of a model by its path there, e.g. ``backbone/conv2d/kernel``; a shared weight once."""
    found: dict[str, Weight] = {}
    seen: set[Weight] = set()
    stack: list[tuple[str, AnyModel | Operation]] = [("", model)]
    while stack:
        prefix, owner = stack.pop()
        if owner.graph is None:
            for weight in owner.weights:
                if weight not in seen:
                    seen.add(weight)
                    path = prefix + weight.path.removeprefix(owner.path + "/")
                    while path in found:  # parts of two other models inside one layer
                        path += "_"
                    found[path] = weight
            continue
        names = owner.graph.names
        stack.extend((f"{prefix}{names[layer]}/", layer) for layer in reversed(owner.sublayers()))
    return found


@checked
def save_weights(model: keras_state.Compiled, filepath: str | Path, overwrite: bool = True) -> None:
    """Write all weights in Keras's axis order; the file appears under its name only when it is whole.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.weights.h5``, which Keras reads, or in ``.safetensors``.
        overwrite: whether a file of that name is replaced; else it is an error.

    Raises:
        FileError: the file could not be written; what was there before is untouched.

    Example:
        >>> import os
        >>> from anabranch import Sequential, layers, saving
        >>> saving.save_weights(Sequential([layers.Input((4,)), layers.Dense(2)]), "w.safetensors")
        >>> os.listdir()
        ['w.safetensors']
    """
    path = _checked(filepath)
    _check_model(model, "save_weights")
    files.check_free(path, overwrite)
    if not model.built:
        raise NotReadyError(f"Model {model.name!r} has no weights yet.", repair="build it first: model.build((None, …))")
    if path.name.endswith(HDF5):
        data = hdf5.written(keras_state.groups(model))
    else:
        data = safetensors_format.written({name: weight.numpy() for name, weight in weight_paths(model).items()})
    files.write(path, data)


@checked
def load_weights(model: keras_state.Compiled, filepath: str | Path, skip_mismatch: bool = False) -> None:
    """Read all weights by path and shape; nothing changes unless every one of them fits.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.weights.h5`` or ``.keras``, as Keras writes it, or in ``.safetensors``.
        skip_mismatch: load what fits and warn of the rest: in ``.weights.h5`` a layer fits as a whole or not at all.

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
    _check_model(model, "load_weights")
    path = _checked(filepath, WHOLE)
    if not model.built:
        raise NotReadyError(
            f"Model {model.name!r} has no weights yet, so none can be given values.",
            repair="build it first: call it on data, or model.build((None, …))",
        )
    with reached("read", path):
        data, owner = path.read_bytes(), f"model {model.name!r}"
    if not path.name.endswith(SAFETENSORS):
        stored = (hdf5.stored if path.name.endswith(HDF5) else keras_file.stored_weights)(data, str(path))
        keras_state.load(model, stored, source=str(path), skip_mismatch=skip_mismatch)
        return
    wanted = {name: Wanted(weight, name, name) for name, weight in weight_paths(model).items()}
    stored = safetensors_format.stored(data, str(path))
    matching.fill(wanted, stored, source=str(path), owner=owner, skip_mismatch=skip_mismatch)


def _check_model(model: object, function: str) -> None:
    if not isinstance(model, Operation):
        raise ArgumentTypeError(f"model of {function} must be a model or a layer.", got=shown(model))


def _checked(filepath: str | Path, *more: str) -> Path:
    path, endings = Path(filepath), (HDF5, SAFETENSORS, *more)
    if not path.name.endswith(endings):
        raise ArgumentError(
            "The name of a file of weights says how they are saved.", expected=f"a name ending in {' or '.join(endings)}",
            got=str(filepath), repair=f"{path.with_suffix('').with_suffix('')}{HDF5}",
        )  # fmt: skip
    return path
