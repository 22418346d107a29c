"""Optimizers in Keras's protocol: the same class under both libraries, its variables, and what it calls."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from both_libraries import drawn

import anabranch as ab
from anabranch import optimizers
from anabranch._errors import ArgumentError, NotReadyError
from anabranch.optimizers.optimizer import follow


def heavy_ball(k: Any) -> type:
    class HeavyBall(k.optimizers.Optimizer):  # type: ignore[misc]
        def __init__(self, learning_rate: float = 0.1, friction: float = 0.5, **kwargs: Any) -> None:
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.friction = friction

        def build(self, variables: Any) -> None:
            if self.built:
                return
            super().build(variables)
            self.speeds, self.counts = self.add_optimizer_variables(variables, ["speed", "count"], ["zeros", "ones"])

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            index = self._get_variable_index(variable)
            speed, count = self.speeds[index], self.counts[index]
            self.assign_add(count, k.ops.ones_like(gradient))
            self.assign(speed, k.ops.subtract(k.ops.multiply(speed, self.friction), gradient / count))
            self.assign_add(variable, k.ops.multiply(speed, learning_rate))

        def get_config(self) -> dict[str, Any]:
            return super().get_config() | {"friction": self.friction}

    return HeavyBall


def model_of(k: Any, optimizer: Any) -> Any:
    x = k.Input((6, 6, 3))
    y = k.layers.Conv2D(4, 3, name="conv")(x)
    model = k.Model(x, k.layers.Dense(2, name="dense")(k.layers.Flatten()(y)))
    model.set_weights([np.random.default_rng(7).normal(size=w.shape).astype("float32") * 0.1 for w in model.weights])
    model.compile(optimizer, "mse")
    return model


X, Y = drawn((6, 6, 3), batch=8), drawn((2,), batch=8)


def test_an_optimizer_of_keras_trains_as_it_does_there(keras: Any) -> None:
    found = []
    for k in (keras, ab):
        model = model_of(k, heavy_ball(k)(0.05, friction=0.8, weight_decay=0.01, clipnorm=1.0))
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        found.append((model.get_weights(), [np.asarray(v.numpy()) for v in model.optimizer.variables], model.optimizer))
    for theirs, ours in zip(*(each[0] for each in found), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for theirs, ours in zip(*(each[1] for each in found), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    paths = [[v.path.partition("/")[2] for v in each[2].variables] for each in found]
    assert paths[1] == paths[0]


def test_variables_stay_when_other_weights_are_trained() -> None:
    model = model_of(ab, heavy_ball(ab)())
    model.get_layer("conv").trainable = False
    model.fit(X, Y, verbose=0)
    dense = model.optimizer.speeds[0].numpy().copy()
    model.get_layer("conv").trainable = True
    before = model.get_layer("conv").get_weights()[0]
    follow(model.optimizer, model.trainable_weights)
    assert len(model.optimizer.speeds) == 4
    np.testing.assert_array_equal(model.optimizer.speeds[2].numpy(), dense)
    model.fit(X, Y, verbose=0)
    assert not np.allclose(model.get_layer("conv").get_weights()[0], before)


def test_state_travels_by_dict_and_by_pickle() -> None:
    kind = heavy_ball(ab)
    model = model_of(ab, kind())
    model.fit(X, Y, verbose=0)
    state = copy.deepcopy(model.optimizer.state_dict())
    model.fit(X, Y, shuffle=False, verbose=0)
    wanted = [v.numpy() for v in model.optimizer.variables]
    other = model_of(ab, kind())
    other.optimizer.build(other.trainable_weights)
    other.optimizer.load_state_dict(state)
    assert other.optimizer.iterations == 1
    assert len(wanted) == len(other.optimizer.variables)
    np.testing.assert_allclose(other.optimizer.speeds[0].numpy(), state["added"][0].numpy())


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Nadam", "Muon", "Adafactor", "Lamb"])
def test_one_weight_alone_is_updated_as_among_others(name: str) -> None:
    once, together = (getattr(optimizers, name)(0.05) for _ in range(2))
    first, second = model_of(ab, once), model_of(ab, together)
    gradients = [torch.ones_like(w.value) * (i + 1) for i, w in enumerate(first.trainable_weights)]
    for model in (first, second):
        model.optimizer.build(model.trainable_weights)
        for w in model.trainable_weights:
            w.value.requires_grad_(True)
    together.weight_decay = once.weight_decay = None
    if name == "Muon":
        together.adam_weight_decay = None
    together.apply(gradients, second.trainable_weights)
    for weight, gradient in zip(first.trainable_weights, gradients, strict=True):
        once.update_step(ab.ops.convert_to_tensor(np.broadcast_to(gradient.numpy().flat[0], weight.shape)), weight, 0.05)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_subclass_may_change_the_gradient_and_leave_the_rest_to_its_base(keras: Any) -> None:
    def centered(k: Any) -> Any:
        class Centered(k.optimizers.SGD):  # type: ignore[misc]
            def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
                super().update_step(gradient - k.ops.mean(gradient, axis=0, keepdims=True), variable, learning_rate)

        return model_of(k, Centered(0.05, momentum=0.9))

    found = []
    for k in (keras, ab):
        model = centered(k)
        model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        found.append(model.get_weights())
    if keras.optimizers.SGD.__mro__[1].__module__.startswith("keras.src.backend"):
        return  # on torch Keras's SGD updates all weights in parallel and never asks for update_step
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_stateless_apply_changes_nothing() -> None:
    model = model_of(ab, optimizers.Adam(0.1))
    optimizer, weights = model.optimizer, model.trainable_weights
    gradients = [torch.ones_like(w.value) for w in weights]
    with pytest.raises(NotReadyError, match="build"):
        optimizer.stateless_apply([], gradients, weights)
    optimizer.build(weights)
    before, state = model.get_weights(), [v.numpy() for v in optimizer.variables]
    turned = [weight.from_native(each) for weight, each in zip(weights, gradients, strict=True)]
    values, variables = optimizer.stateless_apply(optimizer.variables, turned, weights)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(optimizer.variables, state, strict=True))
    optimizer.apply(gradients, weights)
    for value, now in zip(values, model.get_weights(), strict=True):
        np.testing.assert_allclose(value.numpy(), now, atol=1e-7)
    assert int(variables[0]) == 1
    with pytest.raises(ArgumentError, match="a value for each weight"):
        optimizer.stateless_apply(optimizer.variables, gradients, weights[:1])


def test_a_weight_that_it_was_not_built_with_is_an_error() -> None:
    optimizer = optimizers.SGD()
    optimizer.build([ab.layers.Layer().add_weight((2,))])
    with pytest.raises(ArgumentError, match="none that the optimizer was built with"):
        optimizer.update_step(torch.ones(2), ab.layers.Layer().add_weight((2,)), 0.1)
    with pytest.raises(ArgumentError, match="aggregation"):
        optimizer.add_variable((), aggregation="median")


# Several optimizers


def several(k: Any, **options: Any) -> Any:
    o = k.optimizers
    return o.MultiOptimizer(o.OptimizerMap(o.SGD(0.05, momentum=0.9), {"conv.*": o.Adam(0.01, epsilon=1e-3)}), **options)


def test_several_optimizers_update_each_its_weights(keras: Any) -> None:
    theirs, ours = (model_of(k, several(k)) for k in (keras, ab))
    for model in (theirs, ours):
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    own, other = ([(v.path, np.asarray(v.numpy())) for v in model.optimizer.variables] for model in (ours, theirs))
    assert [path.partition("/")[2] for path, _ in own] == [path.partition("/")[2] for path, _ in other]
    for (_, a), (_, b) in zip(own, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert [type(each).__name__ for each in ours.optimizer.optimizers] == ["Adam", "SGD"]


@pytest.mark.parametrize("writer", ["anabranch", "keras"])
def test_files_of_several_optimizers_travel_both_ways(keras: Any, tmp_path: Any, writer: str) -> None:
    first, second = (ab, keras) if writer == "anabranch" else (keras, ab)
    model = model_of(first, several(first))
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    for a, b in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_allclose(np.asarray(a.numpy()), np.asarray(b.numpy()), atol=1e-7)
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    again.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_function_may_choose_and_state_is_resumed() -> None:
    slow, fast = optimizers.SGD(0.01), optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = model_of(ab, optimizers.MultiOptimizer(lambda weight: slow if "kernel" in weight.path else fast))
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    assert (slow.iterations, fast.iterations, model.optimizer.iterations) == (2, 1, 2)
    state = model.optimizer.state_dict()
    slow.iterations = 0
    model.optimizer.load_state_dict(state)
    assert slow.iterations == 2
    with pytest.raises(AttributeError, match="no learning_rate of its own"):
        model.optimizer.learning_rate
    with pytest.raises(AttributeError, match="no learning_rate of its own"):
        model.optimizer.learning_rate = 0.1


def test_a_map_refuses_what_keras_refuses() -> None:
    made = optimizers.OptimizerMap(optimizers.SGD(), {"a/.*": optimizers.Adam(), ".*/b": optimizers.Adam()})
    assert isinstance(made["a/c"], optimizers.Adam)
    assert isinstance(made["c"], optimizers.SGD)
    with pytest.raises(ValueError, match="Several entries"):
        made["a/b"]
    for key, value in (
        (1, optimizers.SGD()),
        ("a/.*", optimizers.SGD()),
        ("x", 3),
        ("x", several(ab)),
        ("(", optimizers.SGD()),
    ):
        with pytest.raises(ValueError, match=r"OptimizerMap|The optimizer for"):
            made[key] = value
    del made["a/.*"]
    assert list(made) == [".*/b"]
    with pytest.raises(TypeError):
        optimizers.OptimizerMap(3)
    with pytest.raises(TypeError, match="OptimizerMap or a function"):
        optimizers.MultiOptimizer(3)
    for wrong in (1.5, "bias"):
        with pytest.raises(TypeError, match="var_names"):
            several(ab).exclude_from_weight_decay(var_names=wrong)
    again = optimizers.deserialize(optimizers.serialize(several(ab)))
    assert again.get_config() == several(ab).get_config()


def test_muon_leaves_embeddings_to_adam_by_default(keras: Any) -> None:
    for exclude in (True, False):
        found = []
        for k in (keras, ab):
            x = k.Input((3,), dtype="int32")
            y = k.layers.Embedding(5, 4, name="embedding")(x)
            model = k.Model(x, k.layers.Dense(2, name="head")(k.layers.Flatten()(y)))
            model.set_weights([np.random.default_rng(7).normal(size=w.shape).astype("float32") for w in model.weights])
            model.compile(k.optimizers.Muon(0.01, exclude_embeddings=exclude, exclude_layers=["hea."], epsilon=1e-3), "mse")
            model.fit(np.arange(12).reshape(4, 3) % 5, np.ones((4, 2), "float32"), batch_size=2, shuffle=False, verbose=0)
            found.append((model.get_weights(), len(model.optimizer.variables)))
        assert found[0][1] == found[1][1] == (8 if exclude else 7) + 0
        for theirs, ours in zip(found[0][0], found[1][0], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_adafactor_goes_by_the_learning_rate_where_the_step_is_not_relative() -> None:
    moved = []
    for relative in (True, False):
        weight = ab.layers.Layer().add_weight((4, 4), "ones")
        optimizer = optimizers.Adafactor(2.0, relative_step=relative, clip_threshold=10.0)
        optimizer.apply([torch.ones(4, 4)], [weight])
        moved.append(1 - weight.numpy()[0, 0])
    assert moved == pytest.approx([1.0, 2.0], rel=1e-5)


def test_a_variance_of_zero_is_bounded_by_epsilon() -> None:
    """However large the gradient: v + ε, rounded, would be g² and the divisor 0."""
    weight = ab.Variable([1.0])
    optimizer = optimizers.RMSprop(1e-4, rho=0.0, centered=True, epsilon=1e-4)
    optimizer.apply([torch.full((1,), 300.0)], [weight])
    np.testing.assert_allclose(ab.ops.convert_to_numpy(weight), [1 - 1e-4 * 300 / 1e-2], rtol=1e-4)


@pytest.mark.parametrize("name", ["Muon"])
def test_shapes_are_those_of_keras_where_torch_s_layout_has_others(keras: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 4, 6)).astype("float32"), rng.normal(size=(4, 4, 6)).astype("float32")
    found = []
    for k in (keras, ab):
        inputs = k.Input((4, 6))
        hidden = k.layers.Conv1D(6, 2, padding="same")(k.layers.MultiHeadAttention(2, 3)(inputs, inputs))
        model = k.Model(inputs, k.layers.LSTM(6, return_sequences=True)(hidden))
        generator = np.random.default_rng(7)
        model.set_weights([generator.normal(size=w.shape).astype("float32") for w in model.weights])
        model.compile(getattr(k.optimizers, name)(0.01), "mse")
        model.fit(x, y, batch_size=2, shuffle=False, epochs=2, verbose=0)
        found.append((model.get_weights(), [tuple(v.shape) for v in model.optimizer.variables]))
    assert found[0][1] == found[1][1]
    for number, (theirs, ours) in enumerate(zip(found[0][0], found[1][0], strict=True)):
        if number != 3:  # the bias of the keys, whose gradient is 0 but for rounding
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
