"""Models: constructors, methods, edits, what is asked of them, and training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nonsense.target import Target, function, method
from small_model import data, made

import anabranch as ab
from anabranch import edit, insight as asking, layers, models as room


def small(name: str = "small") -> Any:
    x = ab.Input((4,), name="x")
    hidden = layers.Dense(3, activation="relu", name="body")(x)
    return ab.Model(x, layers.Dense(2, name="head")(hidden), name=name)


def other() -> Any:
    x = ab.Input((3,))
    return ab.Model(x, layers.Dense(3)(x))


EDITS: dict[str, Any] = {
    "add_output": lambda: {"source": "body"},
    "insert_after": lambda: {"where": "body", "new": layers.Dropout(0.5)},
    "insert_before": lambda: {"where": "head", "new": layers.Dropout(0.5)},
    "remove": lambda: {"where": "body"},
    "rename": lambda: {"where": "body", "name": "other"},
    "replace": lambda: {"where": "body", "new": layers.Dense(5)},
    "rewire": lambda: {"where": "head", "source": "x"},
    "set_outputs": lambda: {"outputs": "body"},
    "splice": lambda: {"at": "body", "model": other()},
    "swap_activation": lambda: {"old": "relu", "new": "tanh"},
    "wrap": lambda: {"where": "body", "function": lambda layer, x: layer(x)},
}


def edits() -> Iterator[Target]:
    """Yield every edit, applied to a small model."""
    for name, right in EDITS.items():
        yield function(f"edit.{name}", getattr(edit, name), right, use=lambda made: small().edit(made))


def insight() -> Iterator[Target]:
    """Yield what a model can be asked."""
    yield function("insight.diff", asking.diff, lambda: {"old": small(), "new": small()})
    labelled = {"x": np.eye(4, dtype="float32"), "y": np.arange(4) % 2, "class_names": ["a", "b"], "batch_size": 2, "count": 3}
    yield function("insight.same_function", asking.same_function, lambda: {"a": small(), "b": small()})
    yield function("insight.lint", asking.lint, lambda: {"model": small()})
    yield function("insight.mistakes", asking.mistakes, lambda: {"model": small(), **labelled})
    yield function("insight.draw", asking.draw, lambda: {"model": small()}, use=lambda drawing: drawing.svg)
    yield function("insight.page", asking.page, lambda: {"model": small(), "compare": small(), "probe": None})
    yield function("insight.cost", asking.cost, lambda: {"model": small()})
    yield function("insight.register_cost", asking.register_cost, lambda: {"kind": type("Own", (layers.Layer,), {})})
    yield function("insight.summarise", asking.summarise, lambda: {"model": small()})
    yield function("insight.summary", asking.summary, lambda: {"model": small(), "print_fn": lambda text: None})


def _subclass(**given: Any) -> None:
    class Own(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    Own()(**given)


def _entered(block: Any) -> None:
    with block:
        pass


def models() -> Iterator[Target]:
    """Yield models and their methods that do not train."""
    x = ab.Input((4,))
    y = layers.Dense(2)(x)
    yield function("Model", ab.Model, lambda: {"inputs": x, "outputs": y}, use=lambda m: m.predict(np.ones((2, 4)), verbose=0))
    yield function("Function", ab.Function, lambda: {"inputs": x, "outputs": y})
    yield function("KerasTensor", ab.KerasTensor, lambda: {"shape": (None, 3), "dtype": "float32", "name": None})
    yield function("InputSpec", ab.InputSpec, lambda: {"dtype": "float32", "shape": (None, 3), "ndim": 2, "axes": {-1: 3}})
    yield function("Variable", ab.Variable, lambda: {"initializer": 1.0, "trainable": True, "name": "v"})
    yield function("name_scope", ab.name_scope, lambda: {"name": "a"})
    yield function("RematScope", ab.RematScope, lambda: {"mode": "full", "output_size_threshold": 9}, use=_entered)
    yield function("StatelessScope", ab.StatelessScope, lambda: {"state_mapping": [(ab.Variable(1.0), 2.0)]}, use=_entered)
    yield function("remat", ab.remat, lambda: {"f": torch.square})
    yield function("device", ab.device, lambda: {"device_name": "cpu"}, use=_entered)
    yield function("Sequential", ab.Sequential, lambda: {"layers": [ab.Input((4,)), layers.Dense(2)]})
    yield Target(
        "Sequential()", ab.Sequential([layers.Dense(2)]), lambda: {"inputs": np.ones((2, 4))}, ("inputs", "training", "mask")
    )
    yield Target("Model() of its own call", _subclass, lambda: {"inputs": np.ones((2, 4))}, ("inputs",))
    yield Target(
        "Model()", lambda **given: small()(**given), lambda: {"inputs": np.ones((2, 4))}, ("inputs", "training", "mask")
    )
    yield Target(
        "Model() of a symbol",
        lambda **given: small()(**given),
        lambda: {"inputs": ab.Input((4,))},
        ("inputs", "training", "mask"),
    )
    yield method("Sequential.add", lambda: ab.Sequential([layers.Dense(2)]), lambda: {"layer": layers.Dense(2)})
    yield function("models.clone_model", room.clone_model, lambda: {"model": small()})
    yield function("models.model_from_json", room.model_from_json, lambda: {"json_string": small().to_json()})
    right: dict[str, Any] = {
        "get_layer": lambda: {"name": "body"}, "set_weights": lambda: {"weights": small().get_weights()}, "summary": dict,
        "to_torch": dict, "tap": lambda: {"paths": "body"}, "between": lambda: {"start": "body", "end": "head"},
        "edit": lambda: {"weights": "shared"}, "compute_output_shape": lambda: {"input_shape": (None, 4)},
        "save_weights": lambda: {"filepath": "w.safetensors"},
        "from_config": lambda: {"config": small().get_config()}, "call": lambda: {"inputs": np.ones((2, 4), "float32")},
        "build": lambda: {"input_shape": (None, 4)}, "compute_output_spec": lambda: {"inputs": ab.Input((4,))},
    }  # fmt: skip
    for name, given in right.items():
        if hasattr(ab.Model, name):
            more = {"summary": ("print_fn",), "get_layer": ("index",)}.get(name, ())
            yield method(f"Model.{name}", small, given, more=more)

    def saved(**given: Any) -> None:
        small().save_weights("w.safetensors")
        small().load_weights(**given)

    yield Target("Model.load_weights", saved, lambda: {"filepath": "w.safetensors"}, ("filepath", "skip_mismatch", "by_name"))

    def setting(**given: Any) -> None:
        model = made(ab)
        for name, value in given.items():
            setattr(model, name, value)
        model.fit(*data(4), verbose=0)

    yield Target("Model.…=", setting, dict, ("trainable", "run_eagerly", "stop_training", "name", "autocast", "dtype_policy"))


def training() -> Iterator[Target]:
    """Yield the methods that train, each argument of them."""
    x, y = data(8)

    def compiled(**given: Any) -> None:
        model = made(ab)
        model.compile(**given)
        model.fit(x, y, verbose=0)
        model.evaluate(x, y, verbose=0)

    names = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution",
             "auto_scale_loss", "remat")  # fmt: skip
    yield Target("Model.compile", compiled, lambda: {"loss": "mse"}, names)
    yield method("Model.compile", lambda: made(ab), lambda: {"loss": "mse"})  # without a fit, as torch.compile takes long
    validating = {"x": x, "y": y, "verbose": 0, "validation_data": (x, y)}
    yield method("Model.fit", lambda: made(ab), lambda: dict(validating))
    yield method("Model.evaluate", lambda: made(ab), lambda: {"x": x, "y": y, "verbose": 0})
    yield method("Model.predict", lambda: made(ab), lambda: {"x": x, "verbose": 0})
    for name in ("train_on_batch", "test_on_batch"):
        yield method(f"Model.{name}", lambda: made(ab), lambda: {"x": x, "y": y})
    yield method("Model.probe", lambda: made(ab), lambda: {"x": x, "y": y, "sample_weight": [1.0] * len(x), "training": False})
    for name in ("make_train_function", "make_test_function", "make_predict_function"):
        yield method(f"Model.{name}", lambda: made(ab), lambda: {"force": True})
    yield method("Model.predict_on_batch", lambda: made(ab), lambda: {"x": x})
    yield method("Model.train_step", lambda: made(ab), lambda: {"data": (torch.from_numpy(x), torch.from_numpy(y))})
    yield method(
        "Model.compute_loss",
        lambda: made(ab),
        lambda: {"x": torch.from_numpy(x), "y": torch.from_numpy(y), "y_pred": torch.from_numpy(y)},
    )
