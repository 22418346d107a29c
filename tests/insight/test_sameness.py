"""Same function up to names: what may differ, what may not, and what differs first."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import known_models
import numpy as np
import pytest
from random_graphs import build, sketch_of

from anabranch import Input, Model, Sequential, config, layers, models, ops

Tower = Callable[..., Model]


def residual(
    flip: bool = False, name: str = "a", filters: int = 4, nested: bool = False, shared: bool = False, activation: str = "relu"
) -> Model:
    x = Input((8, 8, 3), name=f"{name}_in")
    first = layers.Conv2D(filters, 3, padding="same", activation=activation, name=f"{name}_first")
    start = Sequential([Input((8, 8, 3)), first])(x) if nested else first(x)
    second = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_second")
    y = layers.BatchNormalization(name=f"{name}_norm")(second(start))
    if shared:
        y = second(y)
    pair = [start, y] if flip else [y, start]
    total = pair[0] + pair[1] if flip else layers.Add(name=f"{name}_add")(pair)
    return Model(x, layers.Dense(2, name=f"{name}_out")(layers.GlobalAveragePooling2D()(total)))


def test_names_order_nesting_and_spelling_do_not_count() -> None:
    same = residual().same_function(residual(flip=True, name="b", nested=True))
    assert same, same
    assert str(same) == "The models compute the same function."
    assert same.pairs == {
        "a_first": "sequential/b_first", "a_second": "b_second", "a_norm": "b_norm", "a_out": "b_out",
    }  # fmt: skip


def test_pairs_carry_the_weights_over() -> None:
    one, other = residual(), residual(flip=True, name="b", nested=True)
    for a, b in one.same_function(other).pairs.items():
        other[b].set_weights(one[a].get_weights())
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: residual(name="b", filters=5), "Conv2D 'a_first' has filters=4, and Conv2D 'b_first' has filters=5."),
        (lambda: residual(name="b", activation="tanh"), "Conv2D 'a_first' has activation relu, and Conv2D 'b_first' has tanh."),
        (lambda: residual(name="b", activation="linear"), "'a_first' has activation relu, and Conv2D 'b_first' has none."),
        (
            lambda: residual(name="b", shared=True),
            "The first has BatchNormalization 'a_norm' where the second has Conv2D 'b_second'.",
        ),
        (lambda: Model(x := Input((8, 8, 4)), x), "Input 0 is (None, 8, 8, 3) of float32 in the first, (None, 8, 8, 4)"),
        (lambda: Model(x := Input((8, 8, 3)), [x, x]), "The first has 1 outputs, the second 2."),
    ],
)
def test_the_first_difference(other: Callable[[], Model], words: str) -> None:
    same = residual().same_function(other())
    assert not same
    assert words in same.difference


def towers(shared: bool, crossed: bool = False) -> Model:
    a, b = Input((4,)), Input((4,))
    one = layers.Dense(3, name="one")
    two = one if shared else layers.Dense(3, name="two")
    ends = [one(a), two(b)]
    again = layers.Concatenate()([two(a), one(b)] if crossed else [one(a), two(b)])
    return Model([a, b], layers.Concatenate()([layers.Add()(ends), again]))


def test_which_layers_are_shared_counts() -> None:
    assert towers(True).same_function(towers(True))
    assert towers(False).same_function(towers(False))
    assert not towers(False).same_function(towers(False, crossed=True))
    same = towers(True).same_function(towers(False))
    assert same.difference.startswith("Dense 'one' of the first is one layer, called twice, where the second has two")


def test_a_sum_of_two_equal_branches_is_matched_by_what_else_they_do() -> None:
    def crossed(flip: bool) -> Model:
        x = Input((4,))
        one, two = layers.Dense(3, name="one")(x), layers.Dense(3, name="two")(x)
        total = layers.Add()([two, one] if flip else [one, two])
        return Model(x, layers.Concatenate()([one, total, two]))

    same = crossed(False).same_function(crossed(True))
    assert same.pairs == {"one": "one", "two": "two"}


def test_training_settings_do_not_count_and_functions_do() -> None:
    x = Input((4,))
    one = Model(x, layers.Dense(3, kernel_initializer="zeros", kernel_regularizer="l2")(x))
    assert one.same_function(Model(x, layers.Dense(3, trainable=False)(x)))
    double, triple = (Model(x, layers.Lambda(each)(x)) for each in (lambda h: h * 2, lambda h: h * 3))
    assert not double.same_function(triple)
    assert Model(x, x * 2.0).same_function(Model(x, x * 2.0))
    assert not Model(x, x * 2.0).same_function(Model(x, x * 3.0))
    assert not Model(x, x - 2.0).same_function(Model(x, 2.0 - x))
    assert Model(x, ops.relu(x)).same_function(Model(x, layers.Activation("relu")(x)))
    assert not Model(x, ops.relu(x)).same_function(Model(x, layers.ReLU(6.0)(x)))


@pytest.mark.parametrize("name", known_models.ALL)
def test_known_architectures(name: str) -> None:
    one = known_models.ALL[name]()
    assert one.same_function(known_models.ALL[name]())
    other = known_models.ALL["vgg16" if name != "vgg16" else "unet"]()
    assert not one.same_function(other)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_beside_their_clones(seed: int) -> None:
    sketch = sketch_of(8, seed)
    config.set_floatx(sketch.floatx)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one, other = build(sketch).model, build(sketch).model
            same = one.same_function(models.clone_model(one))
        assert same, same
        assert one.same_function(other)
    finally:
        config.set_floatx("float32")


def test_the_activation_is_named_whichever_it_is() -> None:
    x = Input((4,))
    relu, gelu = (Model(x, layers.Dense(2, activation=name, name="head")(x)) for name in ("relu", "gelu"))
    assert str(relu.same_function(gelu)) == "Dense 'head' has activation relu, and Dense 'head' has gelu."
