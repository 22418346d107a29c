"""The words are Keras's: parameter names, their order and defaults, beside the installed Keras's own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from typing import Any

import pytest

import anabranch

# where a default is ours, and why
OWN_DEFAULTS = {
    ("layers", "AveragePooling1D", "pool_size"): "2, as in MaxPooling; Keras asks for it",
    ("layers", "AveragePooling2D", "pool_size"): "2, as in MaxPooling; Keras asks for it",
    ("layers", "AveragePooling3D", "pool_size"): "2, as in MaxPooling; Keras asks for it",
    **{("layers", f"AvgPool{rank}D", "pool_size"): "as AveragePooling" for rank in (1, 2, 3)},
    **{("layers", f"Cropping{rank}D", "cropping"): "None means Keras's default of each rank" for rank in (1, 2, 3)},
}
OWN_ORDER = {
    "TorchModuleWrapper": "(module, name, output_shape) is taken too: tests/layers/test_torch_module.py",
    "StringLookup": "salt comes before the name, as in IntegerLookup: names are last",
}
ROOMS = ("layers", "optimizers", "callbacks", "initializers", "regularizers", "losses", "metrics")
METHODS = (
    "compile",
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
    "summary",
    "get_layer",
)


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    found = inspect.signature(function).parameters
    return {name: p for name, p in found.items() if name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def spread(value: Any) -> Any:
    """Return a default so that 1 and (1, 1) compare equal, as they mean the same."""
    while isinstance(value, (tuple, list)) and value and all(item == value[0] for item in value):
        value = value[0]
    return value


def compare(ours: Any, theirs: Any, key: tuple[str, ...]) -> None:
    mine, wanted = parameters(ours), parameters(theirs)
    names = [name for name in mine if name in wanted]
    assert key[-1] in OWN_ORDER or names == [name for name in wanted if name in mine], "another order"
    missing = [name for name in wanted if name not in mine and name not in ("name", "dtype", "quantization_config")]
    assert not missing, f"missing: {missing}"
    for name in names:
        if (*key, name) not in OWN_DEFAULTS:
            assert repr(spread(mine[name].default)) == repr(spread(wanted[name].default)), name


def public(keras: Any) -> list[tuple[str, str]]:
    rooms = {room: (getattr(anabranch, room), getattr(keras, room)) for room in ROOMS}
    return [
        (room, name)
        for room, (ours, theirs) in rooms.items()
        for name in dir(ours)
        if name[0].isupper()
        and name != "CallbackList"
        and isinstance(getattr(theirs, name, None), type)
        and isinstance(getattr(ours, name, None), type)
    ]


def test_classes(keras: Any) -> None:
    found = public(keras)
    assert len(found) > 120
    wrong = []
    for room, name in found:
        try:
            compare(getattr(getattr(anabranch, room), name), getattr(getattr(keras, room), name), (room, name))
        except AssertionError as error:
            wrong.append(f"{room}.{name}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_every_class_can_be_inspected_abstract_ones_too() -> None:
    """As documentation tools, debuggers and notebooks do."""
    left = ["anabranch.__main__", "anabranch.stand_in.child"]  # which do something when they are imported
    if importlib.util.find_spec("triton") is None:
        left += [f"anabranch.engine.kernels.{name}" for name in (
            "activations", "batch_norm", "bias_activation", "launching", "max_pool",
        )]  # fmt: skip
    for info in pkgutil.walk_packages(anabranch.__path__, "anabranch."):
        if info.name not in left:
            module = importlib.import_module(info.name)
            for _, found in inspect.getmembers(module, inspect.isclass):
                inspect.getmembers(found)


def test_what_layers_take_by_position(keras: Any) -> None:
    """Keras's pooling layers, for example, take their name by position, after the settings."""

    def by_position(function: Any) -> list[str]:
        return [name for name, p in parameters(function).items() if p.kind is p.POSITIONAL_OR_KEYWORD]

    for room, name in public(keras):
        if room == "layers" and name not in OWN_ORDER:
            wanted = by_position(getattr(keras.layers, name))
            assert by_position(getattr(anabranch.layers, name))[: len(wanted)] == wanted, name


@pytest.mark.parametrize("name", METHODS)
def test_methods(keras: Any, name: str) -> None:
    compare(getattr(anabranch.Model, name), getattr(keras.Model, name), ("Model", name))


def test_input(keras: Any) -> None:
    compare(anabranch.Input, keras.Input, ("Input",))
