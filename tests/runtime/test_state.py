"""The state of a run: training, losses of layers, reports, by thread and put back after errors."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose

import anabranch as ab
from anabranch import layers, runtime
from anabranch._errors import AnabranchError

X = np.ones((4, 3), "float32")


class Seeing(layers.Layer):
    """Notes in which mode it was called."""

    def __init__(self, inner: Any = None) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[Any] = []

    def call(self, x: Any, training: Any = None) -> Any:
        self.seen = [*self.seen, training]
        return x if self.inner is None else self.inner(x)


def test_layers_inside_inherit_the_mode_and_a_given_one_wins() -> None:
    inner = Seeing()
    outer = Seeing(inner)
    outer(X, training=True)
    outer(X, training=False)
    with runtime.training_scope(True):
        assert runtime.is_training()
        outer(X)
        outer(X, training=False)
    outer(X)
    assert not runtime.is_training()
    assert outer.seen == inner.seen == [True, False, True, False, None]


def test_the_mode_is_put_back_after_an_error() -> None:
    class Failing(layers.Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            raise KeyError("no")

    with pytest.raises(KeyError):
        Failing()(torch.ones(2), training=True)
    with pytest.raises(KeyError), runtime.training_scope(True):
        raise KeyError("no")
    assert not runtime.is_training()
    assert not runtime.is_tracing()


def test_another_thread_has_a_state_of_its_own() -> None:
    found: list[bool] = []
    with runtime.training_scope(True):
        thread = threading.Thread(target=lambda: found.append(runtime.is_training()))
        thread.start()
        thread.join()
    assert found == [False]


class Adding(layers.Layer):
    """Adds a loss and reports a value at each call."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        self.add_loss(self.factor * x.mean())
        return x


def test_losses_are_those_of_the_last_outermost_call() -> None:
    first, second = Adding(1.0), Adding(10.0)
    model = ab.Sequential([ab.Input((3,)), first, second])
    for layer_by_layer in (False, True):
        for scale in (1.0, 2.0):
            if layer_by_layer:
                second(first(scale * X))
                assert [float(loss) for layer in (first, second) for loss in layer.losses] == [scale, 10 * scale]
            else:
                model(scale * X)
                assert [float(loss) for loss in model.losses] == [scale, 10 * scale]


def test_losses_carry_gradients_and_join_training() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    layer = Adding(3.0)
    layer(x)
    layer.losses[0].backward()
    assert allclose(x.grad, torch.full((4, 3), 3 / 12))
    inputs = ab.Input((3,))
    model = ab.Model(inputs, Adding(2.0)(inputs))
    model.compile("sgd", "mse")
    assert model.evaluate(X, X, verbose=0) == pytest.approx(2.0)  # of the added loss alone
    eager = ab.Model(inputs, Adding(2.0)(inputs))
    eager.compile("sgd", "mse", run_eagerly=True)
    assert eager.evaluate(X, X, verbose=0) == pytest.approx(2.0)


def test_a_loss_outside_of_a_call_or_of_text_is_refused() -> None:
    with pytest.raises(AnabranchError, match="add_loss inside call"):
        Adding(1.0).add_loss(torch.ones(()))
    layer = layers.Lambda(lambda x: x)

    class Wrong(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss("text")
            return x

    with pytest.raises(AnabranchError, match="a scalar tensor"):
        Wrong()(torch.ones(2, 2))
    assert layer.losses == []


def test_precision_holds_inside_the_call_alone() -> None:
    dense = layers.Dense(2, dtype="mixed_bfloat16")
    assert dense(X).dtype == torch.bfloat16
    assert runtime.native(dense.kernel).dtype == torch.float32
