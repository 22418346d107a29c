"""What layers report to training besides their output: add_loss, add_metric, metrics among their attributes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from parity import close

import anabranch as ab
from anabranch import engine, layers
from anabranch._errors import ArgumentError

X = np.random.default_rng(0).random((12, 3)).astype("float32")
Y = np.random.default_rng(1).random((12, 1)).astype("float32")


def penalties(k: Any, branching: bool = False) -> Any:
    """Return a layer that adds losses, watches a metric and holds layers that do so, in the words of ``k``."""

    class Inner(k.layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(0.3 * k.ops.mean(x * x))
            return x

    class Penalties(k.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()
            self.dense = k.layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1")
            self.seen = k.metrics.Mean(name="seen")

        def call(self, x: Any) -> Any:
            if branching and float(x.sum()) > 1e9:
                return x
            x = self.inner(self.dense(x))
            self.add_loss(0.1 * k.ops.sum(x))
            self.seen.update_state(k.ops.mean(x))
            return x

    return Penalties()


def model_with(k: Any, branching: bool = False) -> Any:
    inputs = k.Input((3,))
    model = k.Model(inputs, k.layers.Dense(1)(penalties(k, branching)(inputs)))
    model.set_weights(
        [np.linspace(-0.5, 0.7, weight.size, dtype="float32").reshape(weight.shape) for weight in model.get_weights()]
    )
    return model


@pytest.mark.parametrize("branching", [False, True], ids=["traced", "whole"])
def test_losses_and_metrics_of_layers_are_keras(keras: Any, branching: bool) -> None:
    def run(k: Any) -> list[Any]:
        model = model_with(k, branching)
        model.compile("sgd", "mse", metrics=["mae"])
        options = {"batch_size": 4, "shuffle": False, "verbose": 0}
        found = [model.fit(X, Y, epochs=2, validation_data=(X, Y), **options).history]
        found.append(model.evaluate(X, Y, batch_size=4, verbose=0))
        model(X)
        found.append(sorted(float(loss) for loss in [torch.as_tensor(loss).detach() for loss in model.losses]))
        return [*found, *model.get_weights()]

    for mine, other in zip(run(ab), run(keras), strict=True):
        close(mine, other)


@pytest.mark.parametrize("branching", [False, True], ids=["traced", "whole"])
def test_losses_are_those_of_the_last_call(branching: bool) -> None:
    layer = penalties(ab, branching)
    assert layer.losses == []
    for _ in range(2):
        layer(X)
        assert len(layer.losses) == 4, "two added, one on activity, one on a weight"
        assert len(layer.inner.losses) == 1
    layer.inner(X)
    assert float(layer.inner.losses[0]) == pytest.approx(0.3 * float((X * X).mean()), rel=1e-5)
    twin = copy.deepcopy(layer)
    assert len(twin.losses) == 1, "a copy was not called yet"


def test_each_call_of_a_shared_layer_adds_its_loss() -> None:
    class Adds(layers.Layer):
        def call(self, x: Any) -> Any:
            if self.whole:
                float(x.sum())
            self.add_loss(x.sum())
            return x + 1

    for whole in (False, True):
        shared = Adds()
        shared.whole = whole
        inputs = ab.Input((3,))
        model = ab.Model(inputs, shared(shared(inputs)))
        _, losses = engine.program(model, training=True)([torch.ones(2, 3)])
        assert sorted(float(loss) for loss in losses) == [6.0, 12.0]
        model(np.ones((2, 3), "float32"))
        assert sorted(float(loss) for loss in model.losses) == [6.0, 12.0]


class Watched(layers.Layer):
    """Shows the mean and the sum of what goes through."""

    def __init__(self, whole: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.whole = whole

    def call(self, x: Any, training: bool = False) -> Any:
        """Pass on."""
        if self.whole:
            float(x.sum())
        self.add_metric(x, name="mean_of_x")
        self.add_metric(x.sum(), name="sum_of_x", aggregation="sum")
        self.add_metric(1.0 if training else 0.0)
        return x * 1.0


@pytest.mark.parametrize("whole", [False, True], ids=["traced", "whole"])
def test_add_metric_shows_in_logs_and_history(whole: bool) -> None:
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(Watched(whole, name="look")(inputs)))
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(X, Y, batch_size=5, epochs=2, validation_data=(X[:6], Y[:6]), verbose=0).history
    assert list(history)[:5] == ["loss", "mae", "mean_of_x", "sum_of_x", "look_metric"]
    np.testing.assert_allclose(history["mean_of_x"], [X.mean()] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["sum_of_x"], [X.sum()] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_sum_of_x"], [X[:6].sum()] * 2, rtol=1e-5)
    assert (history["look_metric"], history["val_look_metric"]) == ([1.0, 1.0], [0.0, 0.0])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert model.evaluate(X, Y, verbose=0) == list(logs.values())
    assert model.metrics_names == list(logs) == ["loss", "mae", "mean_of_x", "sum_of_x", "look_metric"]
    assert logs["mean_of_x"] == pytest.approx(float(X.mean()), rel=1e-5)


def test_names_that_two_layers_share_are_numbered() -> None:
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(Watched(name="b")(Watched(name="a")(inputs))))
    model.compile("sgd", "mse")
    history = model.fit(X, Y, verbose=0).history
    assert {"mean_of_x", "mean_of_x_1", "a_metric", "b_metric"} <= set(history)


def test_metrics_of_a_custom_step_include_those_of_layers() -> None:
    class Step(ab.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    inputs = ab.Input((3,))
    model = Step(inputs, layers.Dense(1)(Watched(name="look")(inputs)))
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["mean_of_x"], [X.mean()] * 2, rtol=1e-5)
    assert [metric.name for metric in model.metrics] == ["loss", "mean_of_x", "sum_of_x", "look_metric"]


def test_what_leaves_as_torch_watches_nothing() -> None:
    inputs = ab.Input((3,))
    layer = Watched()
    model = ab.Model(inputs, layer(inputs))
    module = model.to_torch()
    module(torch.from_numpy(X))
    assert layer._watched_["mean_of_x"].count == 0
    assert "watched" not in module.code


def test_an_unknown_aggregation_is_refused() -> None:
    class Odd(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_metric(x, "x", aggregation="median")
            return x

    with pytest.raises(ArgumentError, match="Unknown aggregation"):
        Odd()(X)


def test_training_on_layers_losses_alone() -> None:
    class Adds(layers.Layer):
        def call(self, targets: Any, scores: Any) -> Any:
            self.add_loss(((targets - scores) ** 2).mean())
            return scores

    inputs, targets = ab.Input((3,), name="inputs"), ab.Input((1,), name="targets")
    model = ab.Model({"inputs": inputs, "targets": targets}, Adds()(targets, layers.Dense(1)(inputs)))
    model.set_weights([np.ones((3, 1), "float32"), np.ones(1, "float32")])
    model.compile(ab.optimizers.SGD(0.1))
    losses = model.fit({"inputs": X, "targets": Y}, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_a_metric_made_in_build_has_numbers() -> None:
    class Late(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.seen = ab.metrics.Mean(name="seen")

        def call(self, x: Any) -> Any:
            self.seen.update_state(x)
            return x * 1.0

    class Outer(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.head = Late(), layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.head(self.late(x))

    model = Outer()
    model.compile("sgd", "mse")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["seen"], [X.mean()] * 2, rtol=1e-5)
