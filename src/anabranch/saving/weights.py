"""Weights in a safetensors file, by path: written whole or not at all, read by name and shape."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, FileFormatError, NotReadyError
from anabranch._frames import bounded
from anabranch.graph import AnyModel, Operation, Weight

if TYPE_CHECKING:
    import numpy as np


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


@bounded
@checked
def save_weights(model: AnyModel, filepath: str | Path, overwrite: bool = True) -> None:
    """Write all weights in Keras's axis order; the file appears under its name only when it is whole.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.safetensors``.
        overwrite: whether a file of that name is replaced; else it is an error.

    Example:
        >>> import pathlib, tempfile
        >>> from anabranch import Input, Model, layers, saving
        >>> x = Input((4,))
        >>> model = Model(x, layers.Dense(2)(x))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saving.save_weights(model, pathlib.Path(folder) / "w.safetensors")
        ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
        ['w.safetensors']
    """
    _check_model(model, "save_weights")
    path = _checked(filepath)
    if path.exists() and not overwrite:
        raise ArgumentError("The file is there already.", got=str(path), repair="overwrite=True, or another name")
    if not model.built:
        raise NotReadyError(f"Model {model.name!r} has no weights yet.", repair="build it first: model.build((None, …))")
    import numpy as np
    from safetensors.numpy import save

    data = save({name: np.array(weight.numpy(), order="C") for name, weight in weight_paths(model).items()})
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"could not write {path}: {error.strerror}; what was there before is untouched") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


@bounded
@checked
def load_weights(model: AnyModel, filepath: str | Path) -> None:
    """Read all weights by path and shape; nothing changes unless every one of them fits.

    Args:
        model: the model.
        filepath: the file, whose name ends in ``.safetensors``.

    Example:
        >>> import pathlib, tempfile
        >>> from anabranch import Input, Model, layers, saving
        >>> x = Input((4,))
        >>> first, second = Model(x, layers.Dense(2)(x)), Model(x, layers.Dense(2)(x))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saving.save_weights(first, pathlib.Path(folder) / "w.safetensors")
        ...     saving.load_weights(second, pathlib.Path(folder) / "w.safetensors")
        >>> bool((first.weights[0].numpy() == second.weights[0].numpy()).all())
        True
    """
    _check_model(model, "load_weights")
    path = _checked(filepath)
    if not model.built:
        raise NotReadyError(
            f"Model {model.name!r} has no weights yet, so none can be given values.",
            repair="build it first: call it on data, or model.build((None, …))",
        )
    from safetensors import SafetensorError, deserialize

    try:
        held = {name: _values(name, each) for name, each in deserialize(path.read_bytes())}  # type: ignore[no-untyped-call]  # of a module in Rust
    except SafetensorError as error:
        raise FileFormatError(f"{path} is damaged or no safetensors file.", got=str(error)) from error
    wanted = weight_paths(model)
    missing = sorted(wanted.keys() - held.keys())
    extra = sorted(held.keys() - wanted.keys())
    wrong = [f"{n}: {held[n].shape} for {w.shape}" for n, w in wanted.items() if n in held and held[n].shape != w.shape]
    if missing or extra or wrong:
        lists = {"missing": missing, "extra": extra, "other shape": wrong}
        raise FileFormatError(
            f"The weights in {path} are not those of model {model.name!r}.",
            got="; ".join(f"{what}: {', '.join(names)}" for what, names in lists.items() if names),
        )
    for name, weight in wanted.items():
        weight.assign(held[name])


_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4",
    "I16": "<i2", "U16": "<u2", "I8": "i1", "U8": "u1", "BOOL": "?", "BF16": "<u2", "F8_E5M2": "u1", "F8_E4M3": "u1",
}  # fmt: skip


def _values(name: str, tensor: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return the values of one tensor of a file; floats that NumPy lacks become float32, which holds them exactly."""
    import numpy as np

    kind = tensor["dtype"]
    if kind not in _TYPES:
        raise FileFormatError(f"{name!r} has a type that no weight has.", expected=", ".join(_TYPES), got=kind)
    values = np.frombuffer(tensor["data"], _TYPES[kind]).reshape(tensor["shape"])
    if kind == "BF16":  # the upper half of a float32
        return (values.astype("<u4") << 16).view("<f4")
    if kind == "F8_E5M2":  # the upper half of a float16
        return (values.astype("<u2") << 8).view("<f2").astype("<f4")
    if kind == "F8_E4M3":  # a float16 whose exponent counts from 7 instead of 15; its last value is NaN
        size = ((values & 0x7F).astype("<u2") << 7).view("<f2").astype("<f4") * 256
        return np.where((values & 0x7F) == 0x7F, np.float32(np.nan), np.where(values >> 7, -size, size))
    return values


def _check_model(model: object, function: str) -> None:
    if not isinstance(model, Operation):
        raise ArgumentTypeError(f"model of {function} must be a model or a layer.", got=shown(model))


def _checked(filepath: str | Path) -> Path:
    path = Path(filepath)
    if path.suffix != ".safetensors":
        raise ArgumentError(
            "Weights are saved as safetensors.", expected="a name ending in .safetensors", got=str(filepath),
            repair=f"{path.with_suffix('').with_suffix('')}.safetensors",
        )  # fmt: skip
    return path
