"""What Keras 2 wrote of a model, as JSON of Keras 3: layers, their calls, and what ``compile`` took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch import _custom_objects
from anabranch._errors import ArgumentError
from anabranch.graph.call_site import warn
from anabranch.registry import Json

_MERGES = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")  # which take a list, if of one
_GONE = {  # settings that not every layer of Keras 3 has, and the values that change nothing
    "ragged": (False, None), "sparse": (False, None), "optional": (False, None), "fused": (True, False, None),
    "renorm": (False,), "virtual_batch_size": (None,), "implementation": (1, 2), "time_major": (False,), "groups": (1,),
    "noise_shape": (None,),
}  # fmt: skip
_UNUSED = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_WITHOUT = {  # written, and not used
    "SeparableConv1D": _UNUSED, "SeparableConv2D": _UNUSED,
    "DepthwiseConv1D": (*_UNUSED, "filters"), "DepthwiseConv2D": (*_UNUSED, "filters"),
}  # fmt: skip
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
_OPTIMIZER_GONE = ("jit_compile", "is_legacy_optimizer")
_CONSTANT = "_CONSTANT_VALUE"  # in the place of a layer's name: the argument is no tensor

References = Mapping[str, int]  # the number of each layer's first call, by its name


def modernized(config: dict[str, Json]) -> dict[str, Json]:
    """Return a model's config as Keras 3 would write it, one of Keras 3 as it is."""
    if _is_of_keras_2(config) and "'hard_sigmoid'" in str(config):
        warn(
            "hard_sigmoid was clip(x / 5 + 1/2, 0, 1) in Keras 2, which wrote this model, and is clip(x / 6 + 1/2, 0, 1) now: "
            "it gives other values."
        )
    return modern(config) if is_old(config) else config


def is_old(config: Mapping[str, Json]) -> bool:
    """Return whether a model's config has the form of Keras 2, or of HDF5 files of Keras 3."""
    return "module" not in config or _is_of_keras_2(config)


def _is_of_keras_2(config: Mapping[str, Json]) -> bool:
    return any(
        "batch_input_shape" in layer.get("config", ()) or any(isinstance(node, list) for node in layer.get("inbound_nodes", ()))
        for layer in _layers(config)
    )


def _layers(config: Mapping[str, Json]) -> list[dict[str, Json]]:
    inner = config.get("config")
    found = inner.get("layers") if isinstance(inner, Mapping) else inner
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def modern(entry: Mapping[str, Json]) -> dict[str, Json]:
    """Return what Keras 3 would write of a layer or model.

    Args:
        entry: ``{"class_name", "config", …}``; an entry without the settings that all layers have is a function's.
    """
    full = str(entry["class_name"])
    name = full.rpartition(">")[2]
    config = entry["config"]
    config = {"layers": config} if isinstance(config, list) else dict(config)  # a row of layers in the first versions
    is_function = not {"trainable", "dtype", "layers"} & set(config) and _custom_objects.get_registered_object(full) is None
    module = entry.get("module") or ("keras.src.ops" if is_function else "keras.layers")
    found = {**entry, "class_name": name, "module": str(module).replace("tf_keras", "keras", 1)}
    found["registered_name"] = entry.get("registered_name") or (full if full != name else None)
    if "layers" in config:
        found["module"] = "keras.models"
        found["config"] = _graph(config) if "input_layers" in config else {**config, "layers": [*map(modern, config["layers"])]}
    else:
        found["config"] = _settings(name, config)
    found.pop("build_config", None)
    return found


def _settings(kind: str, config: dict[str, Json]) -> dict[str, Json]:
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        config["batch_shape" if kind == "InputLayer" else "batch_input_shape"] = shape
    for name, values in _GONE.items():
        if name in config and config[name] in values:
            del config[name]
    for name in ("rng_type", *_WITHOUT.get(kind, ())):
        config.pop(name, None)
    axis = config.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
    if isinstance(config.get("dtype"), Mapping) and "name" in config["dtype"].get("config", ()):
        config["dtype"] = config["dtype"]["config"]["name"]
    for old, new in _RENAMED.get(kind, {}).items():
        if old in config:
            config[new] = config.pop(old)
    if kind == "Lambda" and isinstance(config.get("function"), list):
        config["function"] = {"class_name": "__lambda__", "config": {}}
    return config


# The calls of a graph


def _graph(config: dict[str, Json]) -> dict[str, Json]:
    entries = {str(entry.get("name") or entry["config"]["name"]): entry for entry in config["layers"]}
    first = {name: int(_counts_its_own_call(entry)) for name, entry in entries.items()}
    counted = {name: int("input_layers" in entry["config"]) for name, entry in entries.items()}
    layers = []
    for name, entry in entries.items():
        takes_list = entry["class_name"] in _MERGES
        nodes = [
            node if isinstance(node, Mapping) else _call(node, first, takes_list) for node in entry.get("inbound_nodes", ())
        ]
        layers.append({**modern(entry), "name": name, "inbound_nodes": nodes})

    def ends(nest: Json) -> Json:
        if isinstance(nest, list) and len(nest) >= 3 and isinstance(nest[0], str):
            name, call, index = nest[:3]
            return [name, call - first.get(name, 0) + counted.get(name, 0), index]
        if isinstance(nest, Mapping):
            return {key: ends(part) for key, part in nest.items()}
        return ends(nest[0]) if len(nest) == 1 else [ends(part) for part in nest]

    return {
        **config,
        "layers": layers,
        "input_layers": ends(config["input_layers"]),
        "output_layers": ends(config["output_layers"]),
    }


def _counts_its_own_call(entry: Mapping[str, Json]) -> bool:
    """Return whether the calls of an inner model are counted from 1: the first one was its own, on its Input."""
    inner = _layers(entry)
    return bool(inner) and inner[0].get("class_name") == "InputLayer"


def _call(node: Json, first: References, takes_list: bool) -> dict[str, Json]:
    """Return a call from what Keras 2 wrote of it: a nest of ``[layer, call, output, other arguments]``."""
    others: dict[str, Json] = {}

    def argument(nest: Json) -> Json:
        if isinstance(nest, Mapping):
            return {key: argument(part) for key, part in nest.items()}
        if not isinstance(nest, list) or not nest or not isinstance(nest[0], str):
            return [argument(part) for part in nest]
        if len(nest) > 3:
            others.update(nest[3])
        return nest[2] if nest[0] == _CONSTANT else _tensor(nest, first)

    tensors = argument(node)
    if isinstance(node, list) and len(node) == 1 and isinstance(node[0], list) and not takes_list:
        tensors = tensors[0]
    return {"args": [tensors], "kwargs": {key: _named(value, first) for key, value in others.items()}}


def _tensor(data: list[Json], first: References) -> Json:
    name, call, index = data[:3]
    history = [name, call - first.get(str(name), 0), index]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _named(value: Json, first: References) -> Json:
    """Return an argument by name; a tensor is ``[layer, call, output]`` there."""
    if isinstance(value, list) and len(value) >= 3 and value[0] in first and isinstance(value[1], int):
        return _tensor(value, first)
    return [_named(part, first) for part in value] if isinstance(value, list) else value


# What ``compile`` took


def modern_compile(config: Mapping[str, Json]) -> dict[str, Json]:
    """Return the arguments of ``compile`` as Keras 3 would write them.

    Args:
        config: ``training_config`` of an HDF5 file, or ``compile_config`` of a ``.keras`` file.
    """
    found = {name: _part(value) for name, value in config.items() if name not in ("optimizer_config", "sample_weight_mode")}
    optimizer = config.get("optimizer_config", config.get("optimizer"))
    if isinstance(optimizer, Mapping):
        full = str(optimizer["class_name"])
        names = {"class_name": full.rpartition(">")[2], "registered_name": optimizer.get("registered_name") or full}
        optimizer = {**optimizer, **names, "module": "keras.optimizers"}
        inner = {name: value for name, value in optimizer["config"].items() if name not in _OPTIMIZER_GONE}
        if "lr" in inner:
            inner["learning_rate"] = inner.pop("lr")
        decay = inner.pop("decay", 0.0)
        if decay:
            raise ArgumentError(
                "decay of an optimizer of Keras 2 has no counterpart here.", got=f"decay={decay}",
                repair="load_model(…, compile=False), then compile with a schedule such as InverseTimeDecay",
            )  # fmt: skip
        optimizer["config"] = inner
    for name, default in (("run_eagerly", False), ("steps_per_execution", 1), ("jit_compile", "auto")):
        if found.get(name, default) is None:
            found[name] = default
    for name in ("metrics", "weighted_metrics"):
        value = found.get(name)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):  # of the only output
            found[name] = value[0]
    return {**found, "optimizer": optimizer}


def _part(value: Json) -> Json:
    if isinstance(value, list):
        return [_part(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value or "config" not in value:
        return {key: _part(each) for key, each in value.items()}
    config: dict[str, Any] = dict(value["config"])
    function = config.pop("fn", None)
    if value["class_name"] == "MeanMetricWrapper":
        return function
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
    kind = "keras.losses" if "reduction" in config else "keras.metrics"
    return {"module": kind, **value, "config": config}
