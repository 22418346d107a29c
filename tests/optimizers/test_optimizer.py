"""What the base of optimizers does around each update: scaling, decay, averages, gathering, rebuilding, resuming."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

from anabranch import optimizers, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import Home, Weight
from anabranch.optimizers.parts import Step, clips


def weight(values: Any, name: str = "kernel", path: str = "layer") -> Weight:
    array = np.asarray(values, "float32")
    return Weight(name, array.shape, "float32", lambda shape, dtype=None: array, Home(path), runtime)


def take(optimizer: Any, weights: list[Weight], gradients: list[Any]) -> None:
    for w, g in zip(weights, gradients, strict=True):
        w.value.grad = None if g is None else on_device(np.array(g, "float32"))
    optimizer.step()


def gradients_of(shapes: list[tuple[int, ...]], steps: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(11)
    return [[rng.normal(size=s).astype("float32") for s in shapes] for _ in range(steps)]


@pytest.mark.usefixtures("kernels")
def test_adam_corrects_weights_that_join_later_by_the_common_count_as_keras_does(keras: Any) -> None:
    first = [np.ones((2, 3), "float32"), np.ones(3, "float32")]
    theirs = keras.optimizers.Adam(0.01, epsilon=1e-2)
    variables = [keras.Variable(a) for a in first]
    theirs.build(variables)
    ours, weights = optimizers.Adam(0.01, epsilon=1e-2), [weight(a) for a in first]
    for index, step in enumerate(gradients_of([(2, 3), (3,)], 6)):
        known = slice(0, 1 if index < 3 else 2)  # the second is unfrozen after three steps
        theirs.apply([keras.ops.convert_to_tensor(g) for g in step[known]], variables[known])
        ours.build(weights[known])
        take(ours, weights[known], step[known])
    for w, v in zip(weights, variables, strict=True):
        np.testing.assert_allclose(w.numpy(), keras.ops.convert_to_numpy(v), atol=1e-6)


@pytest.mark.usefixtures("kernels")
def test_adam_is_the_formula_in_double_precision() -> None:
    # Keras takes 1 - 0.999 in float32, which costs it 4e-6 at this learning rate; so the formula itself is the oracle
    w, optimizer = weight(np.ones(5)), optimizers.Adam(0.1)
    optimizer.build([w])
    exact, m, v = np.ones(5), np.zeros(5), np.zeros(5)
    for t, (g,) in enumerate(gradients_of([(5,)], 6), start=1):
        take(optimizer, [w], [g])
        m, v = 0.9 * m + 0.1 * g.astype("float64"), 0.999 * v + 0.001 * g.astype("float64") ** 2
        exact -= 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(w.numpy(), exact, atol=5e-7)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_exclusion_from_decay_is_that_of_keras(keras: Any, name: str) -> None:
    names, first = ["kernel", "bias", "gamma"], [np.full(3, 2.0, "float32")] * 3
    theirs, ours = (getattr(room.optimizers, name)(0.01, weight_decay=0.1) for room in (keras, __import__("anabranch")))
    variables = [keras.Variable(a, name=n) for a, n in zip(first, names, strict=True)]
    weights = [weight(a, n) for a, n in zip(first, names, strict=True)]
    theirs.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bia"])
    ours.exclude_from_weight_decay(var_list=[weights[2]], var_names=["bia"])
    ours.build(weights)
    for step in gradients_of([(3,)] * 3, 5):
        theirs.apply([keras.ops.convert_to_tensor(g) for g in step], variables)
        take(ours, weights, step)
    for w, v in zip(weights, variables, strict=True):
        np.testing.assert_allclose(w.numpy(), keras.ops.convert_to_numpy(v), atol=1e-6)


def test_exclusion_holds_for_the_listed_weight_alone_and_after_building() -> None:
    one, other = weight(np.ones(1), "kernel", "a/dense"), weight(np.ones(1), "kernel", "a/dense/kernel")
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.build([one, other])
    optimizer.exclude_from_weight_decay(var_list=[one])
    take(optimizer, [one, other], [[0.0], [0.0]])
    assert (one.numpy()[0], other.numpy()[0]) == (1.0, 0.5)


def test_weights_without_gradient_neither_move_nor_decay() -> None:
    weights = [weight(np.ones(2)), weight(np.ones(2))]
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5, gradient_accumulation_steps=2)
    optimizer.build(weights)
    for _ in range(4):
        take(optimizer, weights, [np.ones(2), None])
    assert optimizer.iterations == 2
    np.testing.assert_array_equal(weights[1].numpy(), 1.0)
    assert (weights[0].numpy() < 1).all()


@pytest.mark.parametrize("scaled_again", [False, True])
def test_a_scaled_loss_gives_the_same_update(scaled_again: bool) -> None:
    found = []
    for factor in (None, 1024.0):
        w, optimizer = weight([1.0, 2.0]), optimizers.SGD(0.1, loss_scale_factor=factor)
        optimizer = optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0) if scaled_again else optimizer
        optimizer.build([w])
        optimizer.scale_loss((w.value**2).sum()).backward()
        optimizer.step()
        found.append(w.numpy())
    np.testing.assert_array_equal(*found)


def test_training_scales_the_loss_it_differentiates() -> None:
    from anabranch import Input, Model, initializers, layers

    found = []
    for factor in (None, 4096.0):
        x = Input((2,))
        model = Model(x, layers.Dense(1, kernel_initializer=initializers.Ones())(x))
        model.compile(optimizers.SGD(0.1, loss_scale_factor=factor), "mse")
        history = model.fit(np.ones((4, 2), "float32"), np.zeros((4, 1), "float32"), verbose=0)
        found.append((model.get_weights()[0], history.history["loss"]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    assert found[0][1] == pytest.approx(found[1][1])


def test_a_function_gives_the_learning_rate_of_each_step() -> None:
    rates, w = iter([1.0, 0.5, 0.25]), weight([0.0])
    optimizer = optimizers.SGD(lambda: next(rates))
    optimizer.build([w])
    for _ in range(3):
        take(optimizer, [w], [[1.0]])
    assert w.numpy()[0] == -1.75


def test_a_number_does_not_overrule_a_schedule_as_in_keras(keras: Any) -> None:
    for room in (keras, __import__("anabranch")):
        optimizer = room.optimizers.SGD(room.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
        with pytest.raises(TypeError):
            optimizer.learning_rate = 0.1
        optimizer.learning_rate = room.optimizers.schedules.ExponentialDecay(0.2, 10, 0.5)
        assert float(optimizer.learning_rate) == pytest.approx(0.2)


def test_averages_and_moments_of_remaining_weights_outlast_a_change_of_what_is_trained() -> None:
    weights = [weight(np.ones(2)), weight(np.ones(2))]
    changing, steady = (optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.5) for _ in range(2))
    alone = weight(np.ones(2))
    steady.build([alone])
    for step in range(5):
        chosen = weights if step % 2 else weights[:1]
        changing.build(chosen)
        take(changing, chosen, [np.ones(2)] * len(chosen))
        take(steady, [alone], [np.ones(2)])
    for optimizer in (changing, steady):
        optimizer.finalize_variable_values(optimizer.weights)
    np.testing.assert_array_equal(weights[0].numpy(), alone.numpy())


def test_averages_of_optimizers_inside_others_are_put_in_place() -> None:
    inner = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    optimizer = optimizers.LossScaleOptimizer(optimizers.MultiOptimizer(optimizers.OptimizerMap(inner)), initial_scale=1.0)
    w = weight(np.ones(2))
    optimizer.build([w])
    for _ in range(2):
        take(optimizer, [w], [np.ones(2)])
    optimizer.finalize_variable_values([w])
    np.testing.assert_array_equal(w.numpy(), [-0.5, -0.5])


@pytest.mark.parametrize("options", [{"use_ema": True}, {"gradient_accumulation_steps": 3}, {"amsgrad": True}], ids=str)
def test_resuming_in_the_middle_gives_the_same_weights(options: dict[str, Any]) -> None:
    gradients = gradients_of([(3,)], 8)

    def run(break_at: int | None) -> Any:
        w, optimizer = weight(np.ones(3)), optimizers.Adam(0.1, **options)
        optimizer.build([w])
        for index, step in enumerate(gradients):
            if index == break_at:
                state, optimizer = optimizer.state_dict(), optimizers.Adam(0.1, **options)
                optimizer.build([w])
                optimizer.load_state_dict(state)
            take(optimizer, [w], step)
        optimizer.finalize_variable_values(optimizer.weights)
        return w.numpy()

    np.testing.assert_array_equal(run(None), run(4))


def test_state_of_other_weights_is_refused() -> None:
    one, two = optimizers.Adam(), optimizers.Adam()
    one.build([weight(np.ones(2))])
    two.build([weight(np.ones(2)), weight(np.ones(2))])
    with pytest.raises(ArgumentError, match="another optimizer or other weights"):
        two.load_state_dict(one.state_dict())


def test_clipping_reads_nothing_on_the_host() -> None:
    # meta tensors hold no numbers: whatever asked for one would fail
    for options in ({"clipnorm": 1.0}, {"clipvalue": 1.0}, {"global_clipnorm": 1.0}):
        gradients = [torch.empty(3, device="meta")]
        for part in clips(*(options.get(name) for name in ("clipnorm", "clipvalue", "global_clipnorm"))):
            part(Step([], [], gradients, 0.1, 0.1, 0))


@pytest.mark.parametrize("norm", [0.0, 1e-20])
def test_clipping_leaves_vanishing_gradients_finite(norm: float) -> None:
    for options in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        w, optimizer = weight([1.0, 1.0]), optimizers.SGD(0.1, **options)
        optimizer.build([w])
        take(optimizer, [w], [[norm, 0.0]])
        np.testing.assert_array_equal(w.numpy(), 1.0)


def test_restarts_come_at_their_step_for_every_factor() -> None:
    for factor in (1.5, 2.0, 3.0, 10.0):
        schedule = optimizers.schedules.CosineDecayRestarts(0.1, 2, t_mul=factor, m_mul=0.5)
        at, length = 0.0, 2.0
        for restart in range(7):
            if at == int(at):
                assert schedule(int(at)) == pytest.approx(0.1 * 0.5**restart), (factor, restart)
            at, length = at + length, length * factor


class Halving(optimizers.schedules.LearningRateSchedule):
    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, step: int) -> float:
        return self.start * 0.5**step


def test_a_users_schedule_is_described_and_comes_back() -> None:
    config = optimizers.serialize(optimizers.RMSprop(Halving(0.5), rho=0.8))
    again = optimizers.deserialize(config, custom_objects={"Halving": Halving})
    assert (again.learning_rate, again.rho) == (0.5, 0.8)
    with pytest.raises(ValueError, match="'Halving' is not known here"):
        optimizers.deserialize(config)


def test_identifiers() -> None:
    for given in ("adam", "Adam", "SGD", "rmsprop", "AdamW"):
        assert type(optimizers.get(given)).__name__.lower() == given.lower()
    assert optimizers.get(optimizers.Adam).name == "adam"
    assert optimizers.get(torch.optim.SGD).learning_rate == pytest.approx(1e-3)
    with pytest.raises(ArgumentTypeError, match="makes no optimizer"):
        optimizers.get(lambda parameters: parameters)
    with pytest.raises(ArgumentTypeError, match="from a list of parameters"):
        optimizers.get(lambda: None)
    for nothing in (3, None):
        with pytest.raises(ArgumentTypeError, match="Expected an optimizer"):
            optimizers.get(nothing)
    with pytest.raises(ArgumentError, match="ema_momentum of SGD must be a finite number ≥ 0 and ≤ 1"):
        optimizers.SGD(use_ema=True, ema_momentum=1.5)
    with pytest.raises(ArgumentError, match="learning_rate of SGD must be a finite number ≥ 0"):
        optimizers.SGD(-1.0)


def test_constructors_are_those_of_keras(keras: Any) -> None:
    import inspect

    for name in ("SGD", "RMSprop", "Adam", "AdamW"):
        theirs, ours = (
            [(p.name, p.default) for p in inspect.signature(getattr(room.optimizers, name)).parameters.values()]
            for room in (keras, __import__("anabranch"))
        )
        assert [p for p in theirs if p[0] != "kwargs"] == ours, name


def test_learning_rate_and_iterations_serve_as_keras_s_variables():
    optimizer = optimizers.SGD(0.5)
    rate, count = optimizer.learning_rate, optimizer.iterations
    assert (rate.name, rate.dtype, rate.shape, rate.trainable) == ("learning_rate", "float32", (), False)
    assert (count.name, count.dtype, count.shape) == ("iteration", "int64", ())
    assert rate.assign_sub(0.25).assign_add(1.0) == optimizer.learning_rate == 1.25
    assert count.assign_add(3) == optimizer.iterations == 3
    assert optimizer.learning_rate.value.equal(torch.tensor(1.25))
    assert optimizer.iterations.value.equal(torch.tensor(3))
    assert optimizer.learning_rate.numpy().dtype == "float32"
    assert optimizer.iterations.numpy().dtype == "int64"


def test_an_optimizer_that_goes_to_another_model_says_what_it_forgets() -> None:
    import anabranch as ab

    optimizer, models = ab.optimizers.Adam(0.1), []
    for _ in range(2):
        models.append(ab.Sequential([ab.Input((4,)), ab.layers.Dense(1)]))
        models[-1].compile(optimizer, "mse")
    x, y = np.ones((8, 4)), np.ones((8, 1))
    models[0].fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match="an optimizer of its own"):
        models[1].fit(x, y, verbose=0)
    models[1].fit(x, y, verbose=0)
