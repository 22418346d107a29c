"""Each argument of compile, fit, evaluate, predict and the like has an effect, shown here; a new one without a row fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 2, (12, 1))
W = np.linspace(0, 2, 12, dtype="float32")


class Noting(ab.callbacks.Callback):
    """Notes which hooks are called, with the number of the batch or epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("train", batch))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("test", batch))

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("predict", batch))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(("epoch", epoch))


def model_of(**options: Any) -> Any:
    ab.utils.set_random_seed(1)
    inputs = ab.Input((3,))
    hidden = layers.Dense(4, activation="tanh", name="hidden")(inputs)
    model = ab.Model(inputs, layers.Dense(1, activation="sigmoid", name="out")(hidden))
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model


def fitted(compile_options: Any = None, **options: Any) -> Any:
    """Return losses, weights, logs and calls of callbacks after fit."""
    model, noting = model_of(**(compile_options or {})), Noting()
    given = {"x": X, "y": Y, "batch_size": 4, "verbose": 0, "shuffle": False, "callbacks": noting, **options}
    history = model.fit(**given)
    return history.history, [weight.tolist() for weight in model.get_weights()], history.epoch, noting.seen


def evaluated(**options: Any) -> Any:
    noting = Noting()
    given = {"x": X, "y": Y, "batch_size": 4, "verbose": 0, "callbacks": noting, **options}
    return model_of(weighted_metrics=["mae"]).evaluate(**given), noting.seen


def predicted(**options: Any) -> Any:
    noting = Noting()
    given = {"x": X, "batch_size": 4, "verbose": 0, "callbacks": noting, **options}
    return model_of().predict(**given).tolist(), noting.seen


def on_batch(method: str, **options: Any) -> Any:
    given = {"x": X, "y": Y, **options}
    model = model_of(weighted_metrics=["mae"])
    return getattr(model, method)(**given), [weight.tolist() for weight in model.get_weights()]


def shown(capsys: Any, verbose: Any, run: Callable[..., Any]) -> str:
    run(verbose=verbose)
    return str(capsys.readouterr().out)


def differ(run: Callable[..., Any], name: str, *values: Any, **others: Any) -> Callable[[Any], bool]:
    """Return a check that the results differ between values of an argument."""
    return lambda capsys: len({repr(run(**{name: value}, **others)) for value in values}) == len(values)


def of_compile(name: str, *values: Any, **fit: Any) -> Callable[[Any], bool]:
    return lambda capsys: len({repr(fitted({name: value}, **fit)) for value in values}) == len(values)


def speaks(run: Callable[..., Any]) -> Callable[[Any], bool]:
    return lambda capsys: shown(capsys, 0, run) == "" != shown(capsys, 2, run)


def runs_in_python(capsys: Any) -> bool:
    """Layers' ``call`` runs for each batch where ``run_eagerly`` is true, and otherwise only while it is traced."""

    class Speaking(layers.Layer):
        def call(self, x: Any) -> Any:
            print("called")
            return x

    def calls(eager: bool) -> int:
        capsys.readouterr()
        inputs = ab.Input((3,))
        model = ab.Model(inputs, layers.Dense(1)(Speaking()(inputs)))
        model.compile("sgd", "mse", run_eagerly=eager)
        model.fit(X, Y, batch_size=1, verbose=0)
        return str(capsys.readouterr().out).count("called")

    return calls(True) >= 12 > calls(False)


def scales(capsys: Any) -> bool:
    def wrapped(auto: bool) -> bool:
        inputs = ab.Input((3,))
        model = ab.Model(inputs, layers.Dense(1, dtype="mixed_float16")(inputs))
        model.compile("sgd", "mse", auto_scale_loss=auto)
        return isinstance(model.optimizer, ab.optimizers.LossScaleOptimizer)

    return wrapped(True) and not wrapped(False)


def recomputes(capsys: Any) -> bool:
    def code(remat: Any) -> str:
        return str(model_of(remat=remat).explain_execution(training=True))

    return code("hidden") != code(None)


def captures(capsys: Any) -> bool:
    def why(jit: Any) -> str:
        from recorded_graph import RecordedGraph

        model = model_of(jit_compile=jit)
        model._compiled_.graph_maker = RecordedGraph
        return str(model.explain_execution(training=True).replay)

    return len({why(value) for value in ("auto", False, True)}) == 3


def weights_outputs(capsys: Any) -> bool:
    inputs = ab.Input((3,))
    model = ab.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])
    found = set()
    for weights in (None, [1.0, 0.5]):
        model.compile("sgd", "mse", loss_weights=weights)
        found.add(model.evaluate(X, [Y, Y], verbose=0)[0])
    return len(found) == 2


HALF = (X[:6], Y[:6])
LONG = (X, Y)

CHECKS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "compile": {
        "optimizer": of_compile("optimizer", "sgd", "adam"),
        "loss": of_compile("loss", "mse", "mae"),
        "loss_weights": weights_outputs,
        "metrics": of_compile("metrics", None, ["mae"]),
        "weighted_metrics": of_compile("weighted_metrics", None, ["mae"], sample_weight=W),
        "run_eagerly": runs_in_python,
        "steps_per_execution": of_compile("steps_per_execution", 1, 2),
        "jit_compile": captures,
        "auto_scale_loss": scales,
        "remat": recomputes,
    },
    "fit": {
        "x": differ(fitted, "x", X, X + 1),
        "y": differ(fitted, "y", Y, 1 - Y),
        "batch_size": differ(fitted, "batch_size", 3, 4, np.int64(6), torch.tensor(12)),
        "epochs": differ(fitted, "epochs", 1, 2),
        "verbose": speaks(fitted),
        "callbacks": lambda capsys: fitted()[3] != [],
        "validation_split": differ(fitted, "validation_split", 0.0, 0.25, 0.5),
        "validation_data": differ(fitted, "validation_data", None, HALF, LONG),
        "shuffle": differ(fitted, "shuffle", False, True, "batch"),
        "class_weight": differ(fitted, "class_weight", None, {0: 2.0}, {0: 2.0, 1: 0.5}),
        "sample_weight": differ(fitted, "sample_weight", None, W),
        "initial_epoch": differ(fitted, "initial_epoch", 0, 1, epochs=2),
        "steps_per_epoch": differ(fitted, "steps_per_epoch", None, 1, 2),
        "validation_steps": differ(fitted, "validation_steps", None, 1, validation_data=LONG),
        "validation_batch_size": differ(fitted, "validation_batch_size", 2, 12, validation_data=LONG),
        "validation_freq": differ(fitted, "validation_freq", 1, 2, [1], epochs=2, validation_data=LONG),
    },
    "evaluate": {
        "x": differ(evaluated, "x", X, X + 1),
        "y": differ(evaluated, "y", Y, 1 - Y),
        "batch_size": differ(evaluated, "batch_size", 3, 4),
        "verbose": speaks(evaluated),
        "sample_weight": differ(evaluated, "sample_weight", None, W),
        "steps": differ(evaluated, "steps", None, 1),
        "callbacks": lambda capsys: evaluated()[1] != [],
        "return_dict": differ(evaluated, "return_dict", False, True),
    },
    "predict": {
        "x": differ(predicted, "x", X, X + 1),
        "batch_size": differ(predicted, "batch_size", 3, 4),
        "verbose": speaks(predicted),
        "steps": differ(predicted, "steps", None, 1),
        "callbacks": lambda capsys: predicted()[1] != [],
    },
    "train_on_batch": {
        "x": differ(lambda x: on_batch("train_on_batch", x=x), "x", X, X + 1),
        "y": differ(lambda y: on_batch("train_on_batch", y=y), "y", Y, 1 - Y),
        "sample_weight": differ(lambda **kw: on_batch("train_on_batch", **kw), "sample_weight", None, W),
        "class_weight": differ(lambda **kw: on_batch("train_on_batch", **kw), "class_weight", None, {0: 2.0}),
        "return_dict": differ(lambda **kw: on_batch("train_on_batch", **kw), "return_dict", False, True),
    },
    "test_on_batch": {
        "x": differ(lambda x: on_batch("test_on_batch", x=x), "x", X, X + 1),
        "y": differ(lambda y: on_batch("test_on_batch", y=y), "y", Y, 1 - Y),
        "sample_weight": differ(lambda **kw: on_batch("test_on_batch", **kw), "sample_weight", None, W),
        "return_dict": differ(lambda **kw: on_batch("test_on_batch", **kw), "return_dict", False, True),
    },
    "predict_on_batch": {
        "x": differ(lambda x: model_of().predict_on_batch(x).tolist(), "x", X, X + 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("method", CHECKS)
def test_every_argument_has_a_row(method: str) -> None:
    parameters = inspect.signature(getattr(ab.Model, method)).parameters
    assert list(CHECKS[method]) == [name for name in parameters if name != "self"]


@pytest.mark.parametrize(("method", "name"), [(method, name) for method, rows in CHECKS.items() for name in rows])
def test_an_argument_has_an_effect(method: str, name: str, capsys: Any) -> None:
    assert CHECKS[method][name](capsys)


WRONG: dict[str, list[Any]] = {
    "batch_size": [0, -1, 2.5, "a", True],
    "epochs": [-1, 1.5, "a", None],
    "verbose": [3, "loud"],
    "callbacks": ["EarlyStopping", 3],
    "validation_split": [1.0, -0.1, "a", 2],
    "shuffle": ["batches", 2, None],
    "class_weight": [{"a": 1.0}, [1.0], {0: "a"}, {0.5: 1.0}],
    "initial_epoch": [-1, 0.5],
    "steps_per_epoch": [0, 1.5],
    "validation_steps": [0, "a"],
    "validation_batch_size": [0, 1.5],
    "validation_freq": [0, "often", True, 1.5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_argument_of_fit_is_refused(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="callback" if name == "callbacks" else name):
        fitted(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("run_eagerly", "a"), ("steps_per_execution", 0), ("jit_compile", "always"), ("auto_scale_loss", 2), ("remat", 0),
     ("remat", ["nowhere"]), ("optimizer", "adamm"), ("loss", "mze"), ("metrics", ["acuracy"])],
)  # fmt: skip
def test_a_wrong_argument_of_compile_is_refused(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        model_of(**{name: value})
