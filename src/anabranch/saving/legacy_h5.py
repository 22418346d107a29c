"""HDF5 files as Keras 2 wrote them, and Keras 3 under ``.h5``, whole models or weights: read, not written.

A group has an attribute ``layer_names``, and in it each layer's group has ``weight_names``: the layer's arrays in the order of
``trainable_weights + non_trainable_weights``. A whole model has that group as ``model_weights``, beside attributes
``model_config`` and ``training_config``, which are JSON, and a group ``optimizer_weights``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple, cast

from anabranch._errors import FileFormatError
from anabranch.graph import AnyModel, HasWeights, Operation, Weight
from anabranch.graph.call_site import warn
from anabranch.registry import Json
from anabranch.saving import hdf5, matching, reading
from anabranch.saving.matching import Stored, Wanted

ENDINGS = (".h5", ".hdf5")
_LAYERS, _WEIGHTS, _MODEL, _TRAINING, _VERSION = (
    "layer_names",
    "weight_names",
    "model_config",
    "training_config",
    "keras_version",
)
_ROOT, _OPTIMIZER, _TOP = "model_weights", "optimizer_weights", "top_level_model_weights"


class Legacy(NamedTuple):
    """What such a file holds.

    Args:
        layers: the paths of each layer's arrays, by the layer's name, in the file's order.
        top: the paths of the model's own.
        optimizer: the paths of the optimizer's.
        arrays: the arrays by path.
        config: the model's JSON; None in a file of weights.
        training: what ``compile`` took; None where it was not saved.
    """

    layers: dict[str, list[str]]
    top: list[str]
    optimizer: list[str]
    arrays: dict[str, Stored]
    config: dict[str, Json] | None
    training: dict[str, Json] | None


def read(data: bytes | IO[bytes], source: str) -> Legacy | None:
    """Return what a file holds, None where its weights have another layout.

    Raises:
        FileFormatError: the file is damaged, links to elsewhere, or declares what it does not store.
    """
    found = hdf5.contents(data, source, (_LAYERS, _WEIGHTS, _MODEL, _TRAINING, _VERSION))
    root = f"{_ROOT}/" if _ROOT in found.texts else ""
    described = found.texts.get(root.rstrip("/"), {})
    if _LAYERS not in described:
        return None
    layers = {name: _paths(found, f"{root}{name}") for name in described[_LAYERS]}
    config, training = (_parsed(found.texts[""], name, source) for name in (_MODEL, _TRAINING))
    return Legacy(layers, _paths(found, f"{root}{_TOP}"), _paths(found, _OPTIMIZER), found.arrays, config, training)


def _paths(found: hdf5.Contents, group: str) -> list[str]:
    paths = [f"{group}/{name}" for name in found.texts.get(group, {}).get(_WEIGHTS, ())]
    if len(set(paths)) != len(paths):
        raise FileFormatError(f"{group!r} has one array for two weights, as Keras 3.0 wrote some.", got=", ".join(paths)[:400])
    return paths


def _parsed(texts: Mapping[str, list[str]], name: str, source: str) -> dict[str, Json] | None:
    return reading.parsed("".join(texts[name]), f"{name} in {source}") if name in texts else None


def load_weights(model: AnyModel, legacy: Legacy, *, source: str, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Set the weights of a model; nothing changes unless all fit.

    Args:
        model: the model.
        legacy: what the file holds.
        source: what errors call the file.
        by_name: whether layers are found by their names, and those that only one side has are left out; else by their order.
        skip_mismatch: whether what does not fit is left out, with a warning.

    Raises:
        FileFormatError: layers or arrays are missing, left over, or of another shape; all of them are listed.
    """
    owner = cast("Operation", model)
    layers = [layer for layer in cast("list[HasWeights]", owner._sublayers_()) if layer.weights]
    names = {name: paths for name, paths in legacy.layers.items() if paths}
    wanted: dict[str, Wanted] = {}
    used: list[str] = []
    if by_name:
        pairs = [(layer, names[layer.name]) for layer in layers if layer.name in names]
    else:
        if len(layers) != len(names):
            raise FileFormatError(
                f"{source} has weights of {len(names)} layers, and model {model.name!r} has {len(layers)} layers with weights.",
                expected=", ".join(layer.name for layer in layers)[:400], got=", ".join(names)[:400],
                repair="by_name=True loads the layers that have the same name",
            )  # fmt: skip
        pairs = list(zip(layers, names.values(), strict=True))
    for layer, paths in pairs:
        used += paths
        wanted.update(_wanted(layer.trainable_weights + layer.non_trainable_weights, paths, layer.name))
    own = owner._own_weights_()
    if own and legacy.top:
        used += legacy.top
        wanted.update(_wanted(own, legacy.top, model.name))
    arrays = {path: legacy.arrays[path] for path in used if path in legacy.arrays}
    matching.fill(wanted, arrays, source=source, owner=f"model {model.name!r}", skip_mismatch=skip_mismatch)


def _wanted(weights: Sequence[Weight], paths: Sequence[str], owner: str) -> dict[str, Wanted]:
    """Return which array each weight of one layer takes: they are in one order."""
    unmatched = [f"{owner}/{weight.name}" for weight in weights[len(paths) :]]
    return {path: Wanted(weight, weight.path, owner) for path, weight in zip([*paths, *unmatched], weights, strict=False)}


def optimizer_state(legacy: Legacy, source: str) -> dict[str, Stored]:
    """Return the optimizer's arrays at the paths that ``.weights.h5`` has them at."""
    if any(path.endswith("/iter:0") for path in legacy.optimizer):
        warn(
            f"The state of the optimizer in {source} is of Keras before 2.11, whose order is another, and is not read: "
            "the optimizer begins anew."
        )
        return {}
    return {
        f"optimizer/vars/{index}": legacy.arrays[path] for index, path in enumerate(legacy.optimizer) if path in legacy.arrays
    }
