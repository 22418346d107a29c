"""Constraints are applied after each update, as in real Keras: by every optimizer, and wherever an update happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recorded_graph import RecordedGraph

import anabranch as ab
from anabranch import constraints, layers, optimizers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, UnknownNameError

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(16, 6)).astype("float32"), RNG.normal(size=(16, 3)).astype("float32")
IMAGES, SUMS = RNG.normal(size=(8, 6, 6, 2)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")
WORDS = RNG.integers(0, 7, (8, 4))


def halved(w: Any) -> Any:
    return w * 0.5


def constraint_of(room: Any, kind: str) -> Any:
    """Return a constraint of Keras's, or of ours, or of a user's."""
    if kind == "function":
        return halved
    if kind == "class":

        class Shrunk(room.constraints.Constraint):  # type: ignore[misc]  # of either library
            def __call__(self, w: Any) -> Any:
                return w * 0.9 + 0.01

        return Shrunk()
    return {
        "NonNeg": lambda: room.constraints.NonNeg(),
        "MaxNorm": lambda: room.constraints.MaxNorm(0.3),
        "MinMaxNorm": lambda: room.constraints.MinMaxNorm(0.2, 0.4, rate=0.5),
        "UnitNorm": lambda: room.constraints.UnitNorm(),
    }[kind]()


KINDS = ("NonNeg", "MaxNorm", "MinMaxNorm", "UnitNorm", "function", "class")


def dense(room: Any, constraint: Any) -> Any:
    inputs = room.Input((6,))
    return room.Model(inputs, room.layers.Dense(3, kernel_constraint=constraint, bias_constraint=constraint)(inputs))


def convolution(room: Any, constraint: Any) -> Any:
    inputs = room.Input((6, 6, 2))
    x = room.layers.Conv2D(4, 3, kernel_constraint=constraint, bias_constraint=constraint)(inputs)
    return room.Model(inputs, room.layers.Dense(1)(room.layers.GlobalAveragePooling2D()(x)))


def normalization(room: Any, constraint: Any) -> Any:
    inputs = room.Input((6,))
    x = room.layers.BatchNormalization(gamma_constraint=constraint)(inputs)
    return room.Model(inputs, room.layers.Dense(3)(x))


def embedding(room: Any, constraint: Any) -> Any:
    inputs = room.Input((4,), dtype="int32")
    x = room.layers.Embedding(7, 5, embeddings_constraint=constraint)(inputs)
    return room.Model(inputs, room.layers.Dense(1)(room.layers.Flatten()(x)))


MODELS: dict[str, Any] = {
    "dense": (dense, X, Y),
    "convolution": (convolution, IMAGES, SUMS),
    "normalization": (normalization, X, Y),
    "embedding": (embedding, WORDS, SUMS),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_weights_after_steps_are_those_of_keras(keras: Any, name: str, kind: str) -> None:
    make, x, y = MODELS[name]
    theirs, ours = (make(room, constraint_of(room, kind)) for room in (keras, ab))
    ours.set_weights(theirs.get_weights())
    for model in (theirs, ours):
        model.compile("sgd", "mse")
        model.optimizer.learning_rate = 0.1
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), atol=2e-5)


def model_of(constraint: Any, **compile: Any) -> Any:
    ab.utils.set_random_seed(1)
    model = dense(ab, constraint)
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | compile))
    return model


def smallest(model: Any) -> float:
    return min(float(w.min()) for w in model.get_weights())


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.1, centered=True),
    "adam": lambda: optimizers.Adam(0.1, global_clipnorm=1.0),
    "adamw": lambda: optimizers.AdamW(0.1),
    "torch": lambda: torch.optim.Adagrad,
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1)),
    "accumulating": lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_applies_them(name: str) -> None:
    free, bound = (model_of(constraint, optimizer=OPTIMIZERS[name]()) for constraint in (None, "non_neg"))
    for model in (free, bound):
        model.fit(X, Y, batch_size=4, epochs=4, verbose=0)
    assert smallest(free) < 0
    assert smallest(bound) == 0


@pytest.mark.parametrize("options", [{"jit_compile": False}, {"run_eagerly": True}], ids=str)
def test_however_the_model_runs(options: dict[str, Any]) -> None:
    model = model_of("non_neg", **options)
    model.fit(X, Y, batch_size=4, verbose=0)
    assert smallest(model) == 0


def test_captured_steps_apply_them_and_notice_other_settings() -> None:
    def run(graph: Any) -> Any:
        limit = constraints.MaxNorm(0.5)
        model = model_of(limit)
        model._compiled_.graph_maker = graph
        for value in (0.5, 0.2):
            limit.max_value = value
            model.fit(X, Y, batch_size=2, epochs=2, shuffle=False, verbose=0)
        return model

    plain, replayed = run(None), run(RecordedGraph)
    assert replayed._compiled_.replays.replayed > 10
    for one, other in zip(plain.get_weights(), replayed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.linalg.norm(replayed.get_weights()[0], axis=0).max() <= 0.2 + 1e-6


def test_a_users_constraint_is_captured_only_where_it_says_so() -> None:
    for capturable in (False, True):
        model = model_of(constraint_of(ab, "class"))
        for layer in model.layers[1:]:
            layer.kernel.constraint.capturable = layer.bias.constraint.capturable = capturable
        model._compiled_.graph_maker = RecordedGraph
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
        assert bool(model._compiled_.replays and model._compiled_.replays.replayed) == capturable


def test_each_batch_applies_them_under_accumulation_as_in_keras() -> None:
    model = model_of(halved, optimizer=optimizers.SGD(0.0, gradient_accumulation_steps=2))
    before = model.get_weights()[0]
    for factor in (0.5, 0.25, 0.125, 0.0625):
        model.train_on_batch(X, Y)
        np.testing.assert_allclose(model.get_weights()[0], before * factor, rtol=1e-6)


def test_a_step_that_is_skipped_applies_none() -> None:
    model = model_of(halved, optimizer=optimizers.LossScaleOptimizer(optimizers.SGD(0.1)))
    before = model.get_weights()
    model.train_on_batch(X * np.float32(1e30), Y)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_average_is_that_of_keras(keras: Any) -> None:
    def trained(room: Any, first: Any) -> Any:
        model = dense(room, room.constraints.NonNeg())
        if first:
            model.set_weights(first)
        options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}
        model.compile(room.optimizers.SGD(0.1, **options), "mse")
        before = model.get_weights()
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        return before, model.get_weights()

    before, theirs = trained(keras, None)
    for one, other in zip(trained(ab, before)[1], theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_gradients_that_are_given_one_by_one() -> None:
    model = model_of("non_neg")
    weights = model.trainable_weights
    version = weights[0].value._version
    model.optimizer.apply([torch.ones_like(w.value) * 100 for w in weights], weights)
    assert smallest(model) == float(model.get_weights()[0].max()) == 0
    assert weights[0].value._version > version + 1  # the update, and the constraint, which computed constants notice


def test_predict_answers_with_the_constrained_weights() -> None:
    model = model_of("non_neg", optimizer=optimizers.SGD(0.5))
    model.predict(X, verbose=0)
    model.fit(X, Y, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_policies(policy: str) -> None:
    ab.utils.set_random_seed(1)
    inputs = ab.Input((6,))
    outputs = layers.Dense(3, kernel_constraint=constraints.UnitNorm(), dtype=policy)(inputs)
    model = ab.Model(inputs, outputs)
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=4, verbose=0)
    norms = np.linalg.norm(model.get_weights()[0].astype("float32"), axis=0)
    np.testing.assert_allclose(norms, 1, atol=1e-2 if policy == "bfloat16" else 1e-5)


def test_a_constraint_that_is_set_later_takes_effect() -> None:
    model = model_of(None)
    model.fit(X, Y, verbose=0)
    model.layers[1].kernel.constraint = constraints.NonNeg()
    model.fit(X, Y, verbose=0)
    assert float(model.get_weights()[0].min()) == 0


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="Unknown constraint"):
        layers.Dense(2, kernel_constraint="nonsense_name")(ab.Input((3,)))
    for wrong, kind, text in (
        (lambda w: None, ArgumentTypeError, "returned no tensor"),
        (lambda w: 0.0, ArgumentTypeError, "returned no tensor"),
        (lambda w: w[:1], ShapeError, "another shape"),
        (constraints.MaxNorm(1, axis=3), ShapeError, "does not have"),
    ):
        with pytest.raises(kind, match=text) as error:
            model_of(wrong).fit(X, Y, verbose=0)
        assert "kernel" in str(error.value)
    with pytest.raises(ArgumentError, match="min_value"):
        constraints.MinMaxNorm(2.0, 1.0)
    with pytest.raises(ArgumentTypeError, match="axis of UnitNorm"):
        constraints.UnitNorm(axis="rows")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS[:4])
def test_config_is_that_of_keras(keras: Any, kind: str) -> None:
    ours, theirs = constraint_of(ab, kind), constraint_of(keras, kind)
    assert ours.get_config() == theirs.get_config()
    again = constraints.deserialize(keras.constraints.serialize(theirs))
    assert again.get_config() == ours.get_config()  # type: ignore[union-attr]


@pytest.mark.parametrize("axis", [5, -3, [0, 2]])
@pytest.mark.parametrize("kind", [constraints.MaxNorm, constraints.MinMaxNorm, constraints.UnitNorm])
def test_an_axis_that_the_weight_does_not_have_is_named(kind: Any, axis: Any) -> None:
    for values in (torch.ones(2, 2), np.ones((2, 2), "float32")):
        with pytest.raises(ShapeError, match=r"norms over axis (5|-3|2), which the weight does not have"):
            kind(axis=axis)(values)
    x = ab.Input((2,))
    model = ab.Model(x, layers.Dense(1, kernel_constraint=kind(axis=axis), name="dense")(x))
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="norms over axis") as caught:
        model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert "dense/kernel" in str(caught.value)
    assert "(2, 1)" in str(caught.value)


@pytest.mark.parametrize(
    "constraint", [constraints.MaxNorm(0.5), constraints.MinMaxNorm(0.1, 0.5), constraints.UnitNorm(), constraints.NonNeg()]
)
def test_arrays_are_constrained_as_tensors_are(constraint: Any) -> None:
    values = np.float32([[1, -2], [3, 4]])
    np.testing.assert_allclose(constraint(values), constraint(torch.from_numpy(values)), rtol=1e-6)
