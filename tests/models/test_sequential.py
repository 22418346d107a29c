"""Sequential: with and without an Input, growing, shrinking, nested; beside real Keras."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError

DATA = np.random.default_rng(0).random((3, 4)).astype("float32")


def test_an_input_comes_first_as_tensor_or_layer() -> None:
    for first in (ab.Input((4,)), layers.InputLayer((4,))):
        model = ab.Sequential([first, layers.Dense(3), layers.Dense(2)])
        assert model.built
        assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
        assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))
        assert tuple(model(DATA).shape) == (3, 2)


@pytest.mark.parametrize("words", [{"input_shape": (4,)}, {"input_dim": 4}, {"batch_input_shape": (None, 4)}])
def test_keras_2_words_for_the_input(words: dict[str, Any]) -> None:
    model = ab.Sequential([layers.Dense(3, **words)])
    assert model.input_shape == (None, 4)


def test_without_input_it_waits_for_data() -> None:
    model = ab.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(NotReadyError, match="does not know the shape of its input yet"):
        model.inputs
    with pytest.raises(NotReadyError):
        model.get_weights()
    assert tuple(model(DATA).shape) == (3, 2)
    assert model.built
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert model.input_shape == (None, 4), "the batch stays free"
    assert tuple(model(DATA[:1]).shape) == (1, 2)


def test_build_and_symbolic_calls_connect_it() -> None:
    built = ab.Sequential([layers.Dense(3)])
    built.build((None, 4))
    assert built.count_params() == 15
    with pytest.raises(ArgumentError, match="build needs the shape"):
        ab.Sequential([layers.Dense(3)]).build()
    called = ab.Sequential([layers.Dense(3)])
    x = ab.Input((4,))
    outer = ab.Model(x, called(x))
    assert outer.count_params() == called.count_params() == 15


def test_embedding_first_takes_integers() -> None:
    model = ab.Sequential([layers.Embedding(10, 3), layers.GlobalAveragePooling1D()])
    assert tuple(model(np.array([[1, 2], [3, 4]])).shape) == (2, 3)
    assert model.inputs[0].dtype == "int32"


def test_layers_are_found_by_name_before_and_after_building() -> None:
    model = ab.Sequential([layers.Dense(3), layers.Dense(2)])
    assert model.get_layer("dense_1").units == 2
    model.build((None, 4))
    assert model.get_layer("dense_1").units == 2
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


def test_adding_and_popping() -> None:
    model = ab.Sequential([ab.Input((4,)), layers.Dense(3)])
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    before = model.layers[0].get_weights()
    last = model.pop()
    assert isinstance(last, layers.Dense)
    assert last.units == 2
    assert model.output_shape == (None, 3)
    assert np.array_equal(model.layers[0].get_weights()[0], before[0])
    assert tuple(model(DATA).shape) == (3, 3)
    model.add(layers.Dense(5))
    assert tuple(model(DATA).shape) == (3, 5)


def test_popping_before_building() -> None:
    model = ab.Sequential([layers.Dense(3), layers.Dense(2)])
    model.pop()
    assert [layer.units for layer in model.layers] == [3]
    model.pop()
    with pytest.raises(ArgumentError, match="no layer to pop"):
        model.pop()


def test_after_popping_a_layer_its_output_is_unambiguous() -> None:
    model = ab.Sequential([ab.Input((4,)), layers.Dense(3, name="features"), layers.Dense(2)])
    model.pop()
    features = ab.Model(model.inputs, model.get_layer("features").output)
    assert features.output_shape == (None, 3)


def test_a_model_may_stand_first_or_inside() -> None:
    x = ab.Input((4,))
    body = ab.Model(x, layers.Dense(3)(x), name="body")
    model = ab.Sequential([body, layers.Dense(2)])
    assert model.built
    assert [layer.name for layer in model.layers] == ["body", "dense"]
    later = ab.Sequential([ab.Sequential([layers.Dense(3)]), layers.Dense(2)])
    assert tuple(later(DATA).shape) == (3, 2)


def test_one_layer_may_stand_twice() -> None:
    shared = layers.Dense(4)
    model = ab.Sequential([ab.Input((4,)), shared, shared])
    assert len(model.weights) == 2
    assert np.allclose(model(DATA).detach(), shared(shared(DATA)).detach())


@pytest.mark.parametrize("bad", [3, "dense", layers.Dense, None])
def test_only_layers_are_held(bad: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="A Sequential holds layers"):
        ab.Sequential([bad])


def test_other_mistakes() -> None:
    with pytest.raises(ArgumentTypeError, match="takes a list of layers"):
        ab.Sequential(layers.Dense(3))
    with pytest.raises(ArgumentError, match="Only the first member"):
        ab.Sequential([layers.Dense(3), ab.Input((4,))])
    with pytest.raises(ArgumentError, match="Only the first member"):
        ab.Sequential([ab.Input((4,)), ab.Input((4,))])
    with pytest.raises(ShapeError, match="takes another shape"):
        ab.Sequential([ab.Input((4,)), layers.Dense(3)])(np.zeros((2, 5), "float32"))


def test_names_weights_and_shapes_equal_keras(keras: Any) -> None:
    def build(k: Any) -> Any:
        convolutions = [k.layers.Conv2D(4, 3), k.layers.Conv2D(4, 3)]
        return k.Sequential([k.Input((8, 8, 3)), *convolutions, k.layers.GlobalAveragePooling2D(), k.layers.Dense(2)])

    keras.backend.clear_session()
    theirs, ours = build(keras), build(ab)
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path.removeprefix("sequential/") for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    data = np.random.default_rng(1).random((2, 8, 8, 3)).astype("float32")
    assert np.allclose(ours.predict(data, verbose=0), theirs.predict(data, verbose=0), atol=1e-5)


# Without an Input


class Sum(layers.Layer):
    def call(self, x):
        return x["a"] + x["b"]


def pooled(**kwargs):
    return ab.Sequential([layers.Conv1D(2, 3, kernel_initializer="ones", **kwargs), layers.GlobalAveragePooling1D()])


def test_without_an_input_data_of_any_size_fit() -> None:
    model = pooled()
    for length in (5, 9, 5, 7):
        x = np.ones((2, length, 2), "float32")
        np.testing.assert_allclose(model(x).detach(), np.full((2, 2), 6.0))
        np.testing.assert_allclose(model.predict(x), np.full((2, 2), 6.0))
    assert model.input_shape == (None, None, 2)


def test_training_goes_on_with_data_of_another_size() -> None:
    model = ab.Sequential([layers.Conv1D(2, 3), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 5, 2)), np.ones((4, 1)), verbose=0)
    before = [weight.copy() for weight in model.get_weights()]
    model.predict(np.ones((4, 9, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.fit(np.ones((4, 9, 2)), np.ones((4, 1)), verbose=0)
    assert not all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_size_that_a_layer_was_built_for_stays() -> None:
    model = ab.Sequential([layers.Flatten(), layers.Dense(1)])
    model.predict(np.ones((2, 2, 2)))
    for call in (model, model.predict):
        with pytest.raises(ShapeError, match="2, 2"):
            call(np.ones((2, 3, 2)))
    assert model.predict(np.ones((2, 2, 2))).shape == (2, 1)


def test_a_declared_size_stays() -> None:
    model = ab.Sequential([layers.Input((5, 2)), *pooled().layers])
    with pytest.raises(ShapeError, match="another shape"):
        model(np.ones((1, 9, 2)))


@pytest.mark.parametrize("way", ["call", "predict", "fit", "symbol", "build"])
def test_the_first_layer_may_take_a_dict(way: str) -> None:
    model = ab.Sequential([Sum(), layers.Dense(2, kernel_initializer="ones")])
    x = {"a": np.ones((2, 3), "float32"), "b": np.ones((2, 3), "float32")}
    if way == "fit":
        model.compile("sgd", "mse")
        model.fit(x, np.full((2, 2), 6.0), verbose=0)
    elif way == "symbol":
        assert model({"a": layers.Input((3,)), "b": layers.Input((3,))}).shape == (None, 2)
    elif way == "build":
        model.build({"a": (None, 3), "b": (None, 3)})
    result = model(x).detach() if way == "call" else model.predict(x)
    np.testing.assert_allclose(result, np.full((2, 2), 6.0))
    assert model.count_params() == 8


def test_the_first_layer_may_take_a_list() -> None:
    model = ab.Sequential([layers.Add(), layers.Dense(2, kernel_initializer="ones")])
    x = [np.ones((2, 3), "float32"), np.ones((2, 3), "float32")]
    np.testing.assert_allclose(model(x).detach(), np.full((2, 2), 6.0))
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict(x), np.full((2, 2), 6.0))


def test_inside_a_layer_no_size_is_taken_while_shapes_are_inferred() -> None:
    class Held(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.body = pooled(strides=2, padding="same")

        def call(self, inputs):
            return self.body(inputs)

    inputs = layers.Input((None, 2))
    model = ab.Model(inputs, Held()(inputs))
    for length, expected in ((4, 5.0), (5, 14 / 3), (9, 5.2)):
        np.testing.assert_allclose(model.predict(np.ones((2, length, 2))), np.full((2, 2), expected), rtol=1e-6)
