"""Settings that are changed later take effect; those that mean nothing are refused; what Keras's scripts do with them."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from recorded_graph import RecordedGraph

import anabranch as ab
from anabranch import layers, optimizers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 4)).astype("float32"), RNG.normal(size=(24, 2)).astype("float32")
NAN = float("nan")


def model_of(optimizer: Any) -> Any:
    ab.utils.set_random_seed(2)
    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(2)(layers.Dense(5, activation="tanh")(inputs)))
    model.compile(optimizer, "mse")
    return model


CHANGES: list[tuple[str, str, Any]] = [
    ("SGD", "learning_rate", 0.5),
    ("SGD", "clipnorm", 0.01),
    ("SGD", "clipvalue", 0.001),
    ("SGD", "global_clipnorm", 0.01),
    ("SGD", "weight_decay", 0.9),
    ("SGD", "momentum", 0.9),
    ("SGD", "loss_scale_factor", 64.0),
    ("SGD", "use_ema", True),
    ("Adam", "beta_1", 0.1),
    ("Adam", "beta_2", 0.5),
    ("Adam", "epsilon", 1.0),
    ("Adam", "amsgrad", True),
    ("RMSprop", "rho", 0.1),
    ("RMSprop", "epsilon", 1.0),
    ("RMSprop", "momentum", 0.9),
    ("RMSprop", "centered", True),
    ("AdamW", "weight_decay", None),
    ("Adagrad", "epsilon", 1.0),
    ("Adadelta", "rho", 0.1),
    ("Adadelta", "epsilon", 1.0),
    ("Adamax", "beta_1", 0.1),
    ("Adamax", "beta_2", 0.1),
    ("Adamax", "epsilon", 1.0),
    ("Lion", "beta_1", 0.1),
    ("Lion", "beta_2", 0.1),
    ("Ftrl", "learning_rate_power", 0.0),
    ("Ftrl", "l1_regularization_strength", 0.5),
    ("Ftrl", "l2_regularization_strength", 0.5),
    ("Ftrl", "l2_shrinkage_regularization_strength", 0.5),
    ("Ftrl", "beta", 0.5),
]


@pytest.mark.parametrize(("name", "setting", "value"), CHANGES, ids=lambda v: str(v))
def test_a_setting_that_is_changed_after_fit_takes_effect(name: str, setting: str, value: Any) -> None:
    def run(graph: Any, change: bool) -> list[np.ndarray]:
        model = model_of(getattr(optimizers, name)(0.02))
        model._compiled_.graph_maker = graph
        model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        if change:
            setattr(model.optimizer, setting, value)
        model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        found: list[np.ndarray] = model.get_weights()
        return found

    unchanged, plain, replayed = run(None, False), run(None, True), run(RecordedGraph, True)
    same = setting == "loss_scale_factor"  # which changes no number that is not lost
    assert same == all(np.allclose(one, other, atol=1e-6) for one, other in zip(unchanged, plain, strict=True))
    for one, other in zip(plain, replayed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_rmsprops_state_means_the_same_under_other_constants() -> None:
    weight, optimizer = torch.nn.Parameter(torch.ones(3)), optimizers.RMSprop(0.0, rho=0.5, epsilon=0.1)
    model = model_of(optimizer)
    model.fit(X, Y, batch_size=4, verbose=0)
    (before,) = optimizer._engine_.slot("scaled_velocity")  # type: ignore[union-attr]
    mean_square = before * 0.5 - 0.1
    optimizer.rho, optimizer.epsilon = 0.9, 0.01
    (after,) = optimizer._engine_.slot("scaled_velocity")  # type: ignore[union-attr]
    torch.testing.assert_close(after * 0.1 - 0.01, mean_square)
    assert weight.grad is None


def test_a_scaling_optimizer_passes_settings_on() -> None:
    inner = optimizers.Adam(0.1)
    optimizer = optimizers.LossScaleOptimizer(inner)
    optimizer.clipnorm, optimizer.beta_1, optimizer.learning_rate = 1.0, 0.5, 0.2
    assert (inner.clipnorm, inner.beta_1, inner.learning_rate) == (1.0, 0.5, 0.2)
    assert (optimizer.clipnorm, optimizer.beta_1) == (1.0, 0.5)
    optimizer.learning_rate.assign(0.3)
    assert inner.learning_rate == 0.3
    with pytest.raises(ArgumentError, match="inner_optimizer of LossScaleOptimizer cannot change"):
        optimizer.inner_optimizer = optimizers.SGD()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optimizers.SGD(lr=0.1), "did you mean learning_rate"),
        (lambda: optimizers.SGD(decay=0.1), "InverseTimeDecay"),
        (lambda: optimizers.Adam(beta_2=2), "beta_2 of Adam must be"),
        (lambda: optimizers.Adam(beta_1=2), "beta_1 of Adam must be"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1 of Adam must be"),
        (lambda: optimizers.Adam(epsilon=NAN), "epsilon of Adam must be a finite number"),
        (lambda: optimizers.Adam(weight_decay=NAN), "weight_decay of Adam must be a finite number"),
        (lambda: optimizers.Adam(NAN), "learning_rate of Adam must be a finite number"),
        (lambda: optimizers.Adam(float("inf")), "learning_rate of Adam must be a finite number"),
        (lambda: optimizers.Adam(True), "must be a number or a schedule"),
        (lambda: optimizers.Adam("0.1"), "must be a number or a schedule"),
        (lambda: optimizers.Adam([0.1, 0.2]), "must be a number or a schedule"),
        (lambda: optimizers.SGD(momentum=1.5), "momentum of SGD must be"),
        (lambda: optimizers.SGD(clipnorm=0), "clipnorm of SGD must be"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps of SGD must be an integer ≥ 2"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=0), "ema_overwrite_frequency of SGD must be"),
        (lambda: optimizers.SGD(name=3), "name of SGD must be a string"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), initial_scale=0), "initial_scale"),
        (lambda: optimizers.schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps of ExponentialDecay must be"),
        (lambda: optimizers.schedules.CosineDecay(NAN, 10), "initial_learning_rate of CosineDecay must be"),
        (lambda: optimizers.schedules.PiecewiseConstantDecay([1], [0.1]), "one entry more than boundaries"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, text: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=text):
        make()


def test_what_is_refused_later() -> None:
    optimizer = optimizers.SGD(clipnorm=1.0)
    with pytest.raises(ArgumentError, match="Only one of"):
        optimizer.clipvalue = 1.0
    optimizer.clipnorm = None
    optimizer.clipvalue = 1.0
    with pytest.raises(ArgumentError, match="momentum of SGD must be"):
        optimizer.momentum = -1
    assert optimizer.momentum == 0


def test_the_learning_rate_is_a_float_that_can_be_assigned() -> None:
    optimizer = optimizers.Adam(0.5)
    rate = optimizer.learning_rate
    assert (rate * 2, 1 - rate, f"{rate:.2f}", json.dumps(rate), isinstance(rate, float)) == (1.0, 0.5, "0.50", "0.5", True)
    assert optimizer.learning_rate.numpy().dtype == "float32"
    assert rate.assign(0.25) == optimizer.learning_rate == 0.25
    for copied in (copy.deepcopy(rate), pickle.loads(pickle.dumps(rate))):  # what was pickled here
        assert type(copied) is float
        assert copied == 0.5
    other = optimizers.SGD(optimizer.learning_rate)
    optimizer.learning_rate.assign(0.125)
    assert other.learning_rate == 0.25
    optimizer.learning_rate = torch.tensor(0.75)  # type: ignore[assignment]
    assert optimizer.learning_rate == 0.75


def test_iterations_are_an_integer_that_can_be_assigned() -> None:
    optimizer = optimizers.SGD(optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    optimizer.iterations.assign(3)
    assert (optimizer.iterations, optimizer.iterations.numpy(), optimizer.learning_rate) == (3, 3, 0.125)
    assert range(10)[optimizer.iterations] == 3


def test_variables_are_what_the_optimizer_holds() -> None:
    model = model_of(optimizers.Adam(0.5, use_ema=True))
    optimizer = model.optimizer
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate"]
    model.fit(X, Y, batch_size=12, verbose=0)
    found = {v.name: v for v in optimizer.variables}
    assert len(found) == 2 + 4 * 3
    assert int(found["iteration"].numpy()) == 2
    moment = found["dense_kernel_momentum"]
    assert moment.shape == (4, 5) == moment.numpy().shape
    found["learning_rate"].assign(0.25)
    found["iteration"].assign(7)
    moment.assign(np.full((4, 5), 3.0, "float32"))
    assert (optimizer.learning_rate, optimizer.iterations) == (0.25, 7)
    state = optimizer._engine_.state[model.trainable_weights[0].value]
    assert state["exp_avg"].unique().tolist() == [3.0]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_schedule_counts_batches_under_accumulation_as_in_keras(keras: Any, name: str) -> None:
    found = []
    for room in (keras, ab):
        inputs = room.Input((4,))
        model = room.Model(inputs, room.layers.Dense(2, kernel_initializer="ones")(inputs))
        schedule = room.optimizers.schedules.PiecewiseConstantDecay([2, 4, 7], [0.1, 0.2, 0.05, 0.4])
        model.compile(getattr(room.optimizers, name)(schedule, gradient_accumulation_steps=3), "mse")
        rates = []
        for index in range(11):
            rates.append(float(model.optimizer.learning_rate))
            model.train_on_batch(X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2])
        found.append((rates, int(model.optimizer.iterations), model.get_weights()))
    assert found[0][0] == pytest.approx(found[1][0])
    assert found[0][1] == found[1][1] == 3
    for one, other in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_gradients_have_torch_s_layout_as_autograd_gives_them() -> None:
    model = ab.Sequential([ab.Input((3,)), layers.Dense(2)])
    loss = (model(np.ones((4, 3), "float32")) ** 2).mean()
    gradients = torch.autograd.grad(loss, model.trainable_variables)
    before = [weight.value.clone() for weight in model.trainable_variables]
    optimizers.SGD(0.5).apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    for weight, value, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        torch.testing.assert_close(weight.value, value - 0.5 * gradient)
    with pytest.raises(ShapeError, match="torch's layout"):
        optimizers.SGD(0.5).apply_gradients([(torch.ones(3, 2), model.weights[0])])
