"""Penalties that are computed for all weights together come to what they come to one by one, and to Keras's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from recorded_graph import RecordedGraph

import anabranch as ab
from anabranch import layers, optimizers, regularizers
from anabranch.training import penalties, steps

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(38, 6)).astype("float32"), RNG.integers(0, 3, 38)


def model_of(k: Any, optimizer: Any, **options: Any) -> Any:
    r = k.regularizers
    inputs = k.Input((6,))
    x = k.layers.Dense(8, activation="tanh", kernel_regularizer=r.L2(0.1), bias_regularizer=r.L1(0.05))(inputs)
    x = k.layers.Dense(8, activation="tanh", kernel_regularizer=r.L1L2(0.02, 0.03), name="second")(x)
    x = k.layers.Dense(8, kernel_regularizer=r.OrthogonalRegularizer(0.1), bias_regularizer=r.L2(0.1))(x)
    model = k.Model(inputs, k.layers.Dense(3, kernel_regularizer="l2")(x))
    model.compile(optimizer, k.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda k: k.optimizers.SGD(0.1),
    "clipped": lambda k: k.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.3),
    "each clipped": lambda k: k.optimizers.Adam(0.01, clipnorm=0.05),
    "accumulating": lambda k: k.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "scaled": lambda k: k.optimizers.SGD(0.1, loss_scale_factor=64.0),
    "scaled by itself": lambda k: k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.1), dynamic_growth_steps=2),
    "decaying": lambda k: k.optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True),
}


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "taken_together", lambda weights: ({}, weights))


def trained(optimizer: Any, graph: Any = None) -> tuple[list[Any], dict[str, Any], Any]:
    ab.utils.set_random_seed(1)
    model = model_of(ab, optimizer)
    model.jit_compile = "auto" if graph else False
    model._compiled_.graph_maker = graph
    history = model.fit(X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False).history
    return model.get_weights(), history, model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize(
    "graph", [pytest.param(None, id="plain"), pytest.param(RecordedGraph, id="replayed", marks=pytest.mark.on_cpu)]
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_are_those_of_one_penalty_after_the_other(name: str, graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(OPTIMIZERS[name](ab), graph)
    one_by_one(monkeypatch)
    expected = trained(OPTIMIZERS[name](ab), graph)
    for a, b in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
    np.testing.assert_allclose(found[1]["loss"], expected[1]["loss"], rtol=1e-5)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_are_keras(keras: Any, name: str) -> None:
    theirs, ours = (model_of(k, OPTIMIZERS[name](k)) for k in (keras, ab))
    ours.set_weights(theirs.get_weights())
    losses = [[model.train_on_batch(X[i : i + 4], Y[i : i + 4]) for i in range(0, 36, 4)] for model in (theirs, ours)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), rtol=1e-4)


def linear(penalty: Any, **options: Any) -> Any:
    inputs = ab.Input((2,))
    model = ab.Model(inputs, layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer=penalty)(inputs))
    model.compile(optimizers.SGD(0.1), "mse", **options)
    return model


ONES = np.ones((2, 2), "float32"), np.full((2, 1), 2.0, "float32")  # fitted already, so that the penalty alone moves weights


class Halved(regularizers.L2):
    """Another function in a class derived from L2."""

    def __call__(self, x: Any) -> Any:
        return super().__call__(x) / 2


@pytest.mark.parametrize(
    ("penalty", "loss", "weight"),
    [
        (regularizers.L2(0.5), 1.0, 0.9),
        (regularizers.L1(0.5), 1.0, 0.95),
        (regularizers.L1L2(0.5, 0.5), 2.0, 0.85),
        (Halved(0.5), 0.5, 0.95),
        (lambda x: (x**2).sum(), 2.0, 0.8),
        (regularizers.L2(0.0), 0.0, 1.0),
    ],
)
def test_one_step_of_a_penalty_alone(penalty: Any, loss: float, weight: float) -> None:
    model = linear(penalty)
    assert model.train_on_batch(*ONES) == pytest.approx(loss)
    np.testing.assert_allclose(model.get_weights()[0], weight, rtol=1e-6)


def test_a_factor_that_is_set_counts_from_then_on() -> None:
    penalty = regularizers.L2(0.5)
    model = linear(penalty)
    penalty.l2 = 0.25
    assert model.train_on_batch(*ONES) == pytest.approx(0.5)


def test_a_weight_that_nothing_else_reaches_is_penalized() -> None:
    class Unused(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.unused = self.add_weight((3,), "ones", regularizer="l2", name="unused")

        def call(self, x: Any) -> Any:
            return x.detach()

    inputs = ab.Input((2,))
    model = ab.Model(inputs, Unused()(inputs))
    model.compile(optimizers.SGD(1.0), "mse")
    assert model.train_on_batch(ONES[0], ONES[0]) == pytest.approx(0.03)
    np.testing.assert_allclose(model.get_weights()[0], 0.98, rtol=1e-6)


def test_a_hook_on_a_weight_sees_the_whole_gradient() -> None:
    model = linear(regularizers.L2(0.5))
    seen: list[Any] = []
    model.weights[0].value.register_hook(lambda gradient: seen.append(gradient.clone()))
    model.train_on_batch(*ONES)
    np.testing.assert_allclose(sum(each.cpu() for each in seen), 1.0, rtol=1e-6)


def test_gradients_that_are_sparse_get_the_penalty_too() -> None:
    table = torch.nn.Embedding(4, 2, sparse=True)
    inputs = ab.Input((3,), dtype="int32")
    model = ab.Model(inputs, table(inputs))
    model.compile(optimizers.SGD(1.0), "mse")
    next(weight for weight in model.weights).regularizer = regularizers.L2(0.25)
    before = model.get_weights()[0].copy()
    ids = np.zeros((2, 3), "int32")
    model.train_on_batch(ids, before[ids])  # without an error, so that the penalty alone moves the table
    np.testing.assert_allclose(model.get_weights()[0], before / 2, atol=1e-6)


def test_all_weights_of_one_factor_are_one_sum() -> None:
    model = model_of(ab, "sgd")
    sums, others = penalties.taken_together(penalties.regularized(model.trainable_weights))
    assert sorted((key.order, key.factor, len(tensors)) for key, tensors in sums.items()) == [
        (1, 0.02, 1), (1, 0.05, 1), (2, 0.01, 1), (2, 0.03, 1), (2, 0.1, 2),
    ]  # fmt: skip
    assert [weight.name for weight in others] == ["kernel"], "of the orthogonal one"
