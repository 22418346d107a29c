"""Layers: constructors, calls and methods with a wrong value, each with a right input from the table of all layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from every_layer import CASES, Case
from nonsense.target import Target, function, method
from nonsense.values import COMMONEST
from test_every_layer import draw, symbolic

import anabranch as ab
from anabranch import layers

BASE = ("name", "trainable", "dtype", "autocast", "activity_regularizer", "input_shape", "input_dim", "batch_input_shape")
FIRST = {case.make: case for case in reversed(CASES)}


def prepared(case: Case, **settings: Any) -> Any:
    layer = getattr(layers, case.make)(**settings)
    if case.prepare is not None and not {"mean", "variance"} & settings.keys():
        case.prepare(layer)
    return layer


def constructors() -> Iterator[Target]:
    """Yield the settings of every layer, used on symbolic tensors, in predict, and on values."""
    for case in FIRST.values():

        def call(case: Case = case, **settings: Any) -> None:
            if not case.inputs:
                getattr(layers, case.make)(**settings)
                return
            x = symbolic(case)
            ab.Model(x, case.call(prepared(case, **settings), x)).predict(draw(case), verbose=0)
            case.call(prepared(case, **settings), draw(case))

        kind = getattr(layers, case.make)
        settings = [name for name in inspect.signature(kind).parameters if name != "kwargs"]
        arguments = tuple(dict.fromkeys([*settings, *(BASE if case.inputs else ())]))
        own = tuple(name for name in arguments if name not in BASE or case.make in ("Dense", "LSTM"))
        yield Target(f"layers.{case.make}", call, lambda case=case: case.config, own)
        shared = tuple(name for name in arguments if name not in own)  # which all layers take from one class
        yield Target(f"layers.{case.make}", call, lambda case=case: case.config, shared, values=COMMONEST)
    yield function("layers.Input", layers.Input, lambda: {"shape": (4,)})
    yield function("layers.Wrapper", layers.Wrapper, lambda: {"layer": layers.Dense(2)}, more=BASE)
    yield function("layers.TorchModule", layers.TorchModule, lambda: {"module": torch.nn.Linear(4, 2)}, more=BASE)


def named(case: Case, names: Sequence[str], given: Any) -> dict[str, Any]:
    """Return the positional arguments of a row's call, or their shapes, by name."""
    return dict(zip(names, case.arguments(given), strict=False))


def names_in(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]


def calls() -> Iterator[Target]:
    """Yield what the call of every layer takes, on values and on symbolic tensors, and its rule for shapes."""
    for case in FIRST.values():
        if not case.inputs:
            continue

        def values(case: Case = case, **given: Any) -> None:
            prepared(case, **case.config)(**given)

        def symbols(case: Case = case, **given: Any) -> None:
            prepared(case, **case.config)(**given)

        kind = getattr(layers, case.make)
        takes = names_in(kind.call)
        yield Target(
            f"layers.{case.make}()",
            values,
            lambda case=case, takes=takes: {**named(case, takes, draw(case)), **case.extra},
            tuple(takes),
        )
        yield Target(
            f"layers.{case.make}() of a symbol", symbols,
            lambda case=case, takes=takes: {**named(case, takes, symbolic(case)), **case.extra}, tuple(takes),
        )  # fmt: skip
        shape = list(case.inputs) if case.as_list else case.inputs[0]
        inferred = kind.compute_output_shape is layers.Layer.compute_output_shape
        for rule in ("build",) if inferred else ("build", "compute_output_shape"):
            names = names_in(getattr(kind, rule))
            yield method(
                f"layers.{case.make}.{rule}", lambda case=case: prepared(case, **case.config),
                lambda case=case, names=names, shape=shape: named(case, names, shape),
            )  # fmt: skip
    for name in ("add", "average", "concatenate", "maximum", "minimum", "multiply", "subtract", "dot"):
        made = getattr(layers, name)
        more = {"axes": 1} if name == "dot" else {}
        yield function(
            f"layers.{name}", made, lambda more=more: {"inputs": [ab.Input((4,)), ab.Input((4,))], **more}, more=BASE[:1]
        )


def dense() -> Any:
    layer = layers.Dense(2)
    layer.build((None, 3))
    return layer


def methods() -> Iterator[Target]:
    """Yield the methods and properties that every layer has."""
    yield method("layers.Layer.set_weights", dense, lambda: {"weights": dense().get_weights()})
    yield method("layers.Layer.build_from_config", lambda: layers.Dense(2), lambda: {"config": {"input_shape": [None, 3]}})
    yield method("layers.Layer.save_own_variables", dense, lambda: {"store": {}})
    yield method(
        "layers.Layer.load_own_variables", dense, lambda: {"store": dict(zip("01", dense().get_weights(), strict=True))}
    )
    yield method(
        "layers.Layer.add_weight", layers.Layer, lambda: {"shape": (2,)},
        more=("name", "dtype", "initializer", "trainable", "regularizer", "constraint", "autocast"),
    )  # fmt: skip
    yield method("layers.Layer.compute_mask", dense, lambda: {"inputs": torch.ones(2, 3), "previous_mask": None})
    yield method("layers.Layer.from_config", dense, lambda: {"config": {"units": 2}})
    yield function("layers.serialize", layers.serialize, lambda: {"layer": dense()})
    yield function("layers.deserialize", layers.deserialize, lambda: {"config": layers.serialize(dense())})

    def setting(**given: Any) -> None:
        layer = dense()
        for name, value in given.items():
            setattr(layer, name, value)
        layer(torch.ones(2, 3))

    changed = ("units", "activation", "use_bias", "kernel_initializer", "kernel_regularizer", "kernel_constraint", "name",
               "trainable", "dtype_policy", "activity_regularizer", "autocast")  # fmt: skip
    yield Target("layers.Dense.…=", setting, dict, changed)

    def weight(**given: Any) -> None:
        held = dense().kernel
        for name, value in given.items():
            if name == "assign":
                held.assign(value)
            else:
                setattr(held, name, value)

    yield Target("layers.Dense.kernel.…=", weight, dict, ("assign", "trainable", "regularizer", "constraint"))

    class Reporting(layers.Layer):
        def __init__(self, given: dict[str, Any]) -> None:
            super().__init__()
            self.given = given

        def call(self, inputs: Any) -> Any:
            given = dict(self.given)
            loss = given.pop("loss", 0.0)
            self.add_loss(loss)
            self.add_metric(given.pop("value", torch.ones(())), **given)
            return inputs

    def reports(**given: Any) -> None:
        Reporting(given)(torch.ones(2, 3))

    yield Target(
        "layers.Layer.add_loss",
        reports,
        lambda: {"loss": torch.ones(())},
        ("loss",),
    )
    yield Target("layers.Layer.add_metric", reports, lambda: {"value": torch.ones(())}, ("value", "name", "aggregation"))
