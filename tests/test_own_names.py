"""A user's subclass may have attributes and methods of any name that Keras's base class lacks."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers, optimizers

X, Y = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3), np.ones((8, 1), "float32")
WAYS = ("attributes", "methods")


def members(value: object) -> set[str]:
    return {*dir(type(value)), *vars(value)}


def free_names(ours: object, theirs: object) -> list[str]:
    """Return the names that an object of ours has and Keras's lacks, without those that are written as the library's own."""
    found = members(ours) - members(theirs) - {"gain", "head"}
    return sorted(name for name in found if name.isidentifier() and not re.fullmatch(r"_.*_", name))


def with_names(kind: type, names: list[str], way: str) -> type:
    """Return a subclass whose objects have attributes of these names, or methods that the library must not call."""

    def method(name: str) -> Callable[..., Any]:
        def mine(self: Any, *args: object, **kwargs: object) -> object:
            raise AssertionError(f"the library calls the user's {name}")

        return mine

    if way == "methods":
        return type("Mine", (kind,), {name: method(name) for name in names})

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super(mine, self).__init__(*args, **kwargs)
        for name in names:
            setattr(self, name, 7)
        assert all(getattr(self, name) == 7 for name in names)

    mine = type("Mine", (kind,), {"__init__": __init__})
    return mine


def falls(model: Any) -> None:
    model.compile("sgd", "mse")
    first, *_, last = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert last < first


def layer_of(package: Any) -> type:
    class Scale(package.layers.Layer):  # type: ignore[misc]  # either package's
        def build(self, input_shape: Any) -> None:
            self.gain = self.add_weight((3,), "ones", name="gain")

        def call(self, x: Any) -> Any:
            return x * self.gain

    return Scale


def model_of(package: Any) -> type:
    class Head(package.Model):  # type: ignore[misc]  # either package's
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.head = package.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.head(x)

    return Head


def names_of_layers(keras: Any) -> list[str]:
    ours, theirs = layer_of(ab)(), layer_of(keras)()
    for layer in (ours, theirs):
        layer(np.ones((1, 3), "float32"))
    return free_names(ours, theirs)


def names_of_models(keras: Any) -> list[str]:
    ours, theirs = model_of(ab)(), model_of(keras)()
    for model in (ours, theirs):
        falls(model)
    return free_names(ours, theirs)


@pytest.mark.parametrize("way", WAYS)
def test_a_layer(way: str, keras: Any, tmp_path: Path) -> None:
    kind = with_names(layer_of(ab), names_of_layers(keras), way)
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(kind()(inputs)))
    falls(model)
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    again = ab.models.load_model(tmp_path / "m.keras", custom_objects={"Mine": kind})
    for other in (again, copy.deepcopy(model), model.edit()):
        np.testing.assert_allclose(other.predict(X, verbose=0), expected, rtol=1e-6)
    assert ab.models.clone_model(model).count_params() == model.count_params()
    model.summary(print_fn=lambda *args, **kwargs: None)
    assert len(model.cost().rows) == 3
    np.testing.assert_allclose(model.to_torch()(ab.ops.convert_to_tensor(X)).detach().cpu(), expected, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_model(way: str, keras: Any, tmp_path: Path) -> None:
    kind = with_names(model_of(ab), names_of_models(keras), way)
    model = kind()
    falls(model)
    expected = model.predict(X, verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    other = kind()
    other.build((None, 3))
    other.load_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.keras")
    again = ab.models.load_model(tmp_path / "m.keras", custom_objects={"Mine": kind})
    for each in (other, again, copy.deepcopy(model)):
        np.testing.assert_allclose(each.predict(X, verbose=0), expected, rtol=1e-6)
    model.summary(print_fn=lambda *args, **kwargs: None)
    assert model.evaluate(X, Y, verbose=0) > 0
    model.train_on_batch(X, Y)


@pytest.mark.parametrize("way", WAYS)
def test_a_subclass_of_a_model_of_layers(way: str, keras: Any, tmp_path: Path) -> None:
    kind = with_names(ab.Model, names_of_models(keras), way)
    inputs = ab.Input((3,))
    model = kind(inputs, layers.Dense(1)(inputs))
    falls(model)
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    again = ab.models.load_model(tmp_path / "m.keras", custom_objects={"Mine": kind})
    for each in (again, copy.deepcopy(model), ab.Model(inputs, model(inputs))):
        np.testing.assert_allclose(each.predict(X, verbose=0), expected, rtol=1e-6)
    assert ab.models.clone_model(model).count_params() == 4
    model.summary(print_fn=lambda *args, **kwargs: None)


def test_names_of_a_compiled_model() -> None:
    """``optimizer`` and ``loss`` are plain attributes of Keras's models: they may be set before ``compile`` and after it."""
    model = model_of(ab)()
    model.optimizer, model.loss = "mine", "mine too"
    assert (model.optimizer, model.loss) == ("mine", "mine too")
    falls(model)
    assert (type(model.optimizer).__name__, model.loss) == ("SGD", "mse")
    model.optimizer = optimizers.SGD(0.0)
    before = model.predict(X, verbose=0)
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def metric_of(package: Any) -> type:
    class Biggest(package.metrics.Metric):  # type: ignore[misc]  # either package's
        def __init__(self, name: str = "biggest", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.gain = self.add_weight(shape=(), initializer="zeros", name="gain")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.gain.assign(package.ops.max(package.ops.abs(y_pred - y_true)))

        def result(self) -> Any:
            return self.gain

    return Biggest


def loss_of(package: Any) -> type:
    class Fourth(package.losses.Loss):  # type: ignore[misc]  # either package's
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return package.ops.mean((y_pred - y_true) ** 4, axis=-1)

    return Fourth


def callback_of(package: Any) -> type:
    class Counting(package.callbacks.Callback):  # type: ignore[misc]  # either package's
        head = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            type(self).head += 1

    return Counting


HOOKS = {"get_state", "set_state", "on_close"}  # of ours, which a callback is asked for by design
USUAL = ["labels", "saved_state", "load_saved_state", "_mask", "_cast", "_holding", "_state_dtype", "history", "losses"]


@pytest.mark.parametrize("way", WAYS)
def test_a_metric_a_loss_and_a_callback(way: str, keras: Any, tmp_path: Path) -> None:
    made: list[Any] = []
    for make in (metric_of, loss_of, callback_of):
        free = [*free_names(make(ab)(), make(keras)()), *USUAL]
        made.append(with_names(make(ab), [name for name in dict.fromkeys(free) if name not in HOOKS], way)())
    metric, loss, callback = made
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", loss, metrics=[metric])
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[callback]).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_biggest"][-1] == pytest.approx(float(abs(model.predict(X, verbose=0) - Y).max()))
    assert type(callback).head == 3
    backup = ab.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=2)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback, backup])  # asks each for what it holds
    assert copy.deepcopy(metric).result() == metric.result()


OVERRIDDEN = {  # what an optimizer of one's own writes, as docs/contributing.md and the docstrings say
    "slots", "slots_of", "update_weights", "further", "further_numbers", "by_element", "decay_of", "step_size",
}  # fmt: skip
OF_TORCH = {"state_dict", "load_state_dict", "step", "zero_grad", "weights"}  # for a loop of one's own, in torch's words


def test_which_names_of_an_optimizer_are_ours(keras: Any) -> None:
    """None begins with an underscore; regularizers, constraints and schedules have none of either kind."""
    found = free_names(optimizers.Optimizer(0.1, name="optimizer"), keras.optimizers.Optimizer(0.1, name="optimizer"))
    assert set(found) == OVERRIDDEN | OF_TORCH
    kinds = {
        "regularizers.Regularizer": set(), "constraints.Constraint": set(), "optimizers.schedules.LearningRateSchedule": set(),
        "initializers.Initializer": {"fill"}, "callbacks.Callback": HOOKS,
    }  # fmt: skip
    for kind, own in kinds.items():
        ours, theirs = ab, keras
        for part in kind.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        assert {name for name in {*dir(ours)} - {*dir(theirs)} if not re.fullmatch(r"_.*_", name)} == own, kind


PRIVATE = [
    "_updates", "_decay", "_engine", "_parts", "_numbers", "_parameters", "_added", "_averages", "rate_now", "renewed",
    "accumulates", "advance", "batches", "bound", "capturable", "count", "finalize", "follow", "hold", "joins", "make",
    "prepare", "skip", "update",
]  # fmt: skip


def test_an_optimizer_whose_attributes_have_the_names_that_ours_had(tmp_path: Path) -> None:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        super(kind, self).__init__(*args, **kwargs)
        for name in PRIVATE:
            setattr(self, name, 7)

    kind: Any = type("Mine", (optimizers.SGD,), {"__init__": init})
    found = {}
    for make in (optimizers.SGD, kind):
        ab.utils.set_random_seed(0)
        inputs = ab.Input((3,))
        model = ab.Model(inputs, layers.Dense(1)(inputs))
        model.compile(make(0.1, momentum=0.9, use_ema=True, ema_overwrite_frequency=2), "mse")
        found[make] = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
        model.save_weights(tmp_path / "m.weights.h5")
    assert found[kind] == found[optimizers.SGD]
    assert all(getattr(model.optimizer, name) == 7 for name in PRIVATE)
