"""Model: inputs and outputs in the user's nest, sharing, nesting, layers by name, weights in Keras's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, on_device

import anabranch as ab
from anabranch import _tree, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError, UnknownNameError

RNG = np.random.default_rng(0)
A, B = (RNG.random((3, 4)).astype("float32") for _ in range(2))


# Structures in and out


def two_inputs(structure: str) -> Any:
    a, b = ab.Input((4,), name="zeta"), ab.Input((4,), name="alpha")
    given = {"list": [a, b], "tuple": (a, b), "dict": {"first": a, "second": b}}[structure]
    return ab.Model(given, a - b)


@pytest.mark.parametrize("structure", ["list", "tuple", "dict"])
@pytest.mark.parametrize("value", [[A, B], (A, B), "names"])
def test_inputs_in_any_nest(structure: str, value: Any) -> None:
    model = two_inputs(structure)
    if value == "names":
        value = {"alpha": B, "zeta": A} if structure != "dict" else {"second": B, "first": A}
    assert np.allclose(model(value).cpu().numpy(), A - B)
    assert np.allclose(model.predict(value, verbose=0), A - B)


@pytest.mark.parametrize(
    "shape_of",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: {"p": b, "o": a},
        lambda a, b: {"z": [a, b], "y": a},
        lambda a, b: [a],
    ],
)
def test_outputs_come_in_the_nest_they_were_given_in(shape_of: Any) -> None:
    x = ab.Input((4,))
    a, b = x * 2.0, x + 1.0
    expected = shape_of(A * 2.0, A + 1.0)
    model = ab.Model(x, shape_of(a, b))
    for found in (model(A), model.to_torch()(torch.from_numpy(A)), model.predict(A, verbose=0)):
        assert type(found) is type(expected)
        if isinstance(expected, dict):
            assert list(found) == list(expected), "a dict keeps the order of its keys"
        flat = list(zip(_tree.leaves(found), _tree.leaves(expected), strict=True))
        assert all(np.allclose(one, other) for one, other in flat)


def test_names_of_inputs_and_outputs() -> None:
    x, y = ab.Input((4,), name="x"), ab.Input((4,))
    h = layers.Dense(2, name="head")(x)
    assert ab.Model(x, [h, h + 1.0]).output_names == ["head", "add"]
    assert ab.Model([x, y], [h, y]).input_names == ["x", "input_layer"]
    model = ab.Model({"k": x}, {"left": h, "right": h})
    assert (model.input_names, model.output_names) == (["k"], ["left", "right"])
    assert model.input_shape == {"k": (None, 4)}
    assert model.output_shape == {"left": (None, 2), "right": (None, 2)}
    assert [t.shape for t in model.inputs + model.outputs] == [(None, 4), (None, 2), (None, 2)]
    assert model.input["k"] is x
    assert model.output["left"] is h


def test_an_output_may_be_an_input_or_given_twice() -> None:
    x = ab.Input((4,))
    h = x * 2.0
    first, second, third = ab.Model(x, [x, h, h])(A)
    assert np.allclose(first, A)
    assert np.allclose(second, third)


# Calling


@pytest.mark.parametrize(
    ("value", "shape"), [(np.zeros((3, 5), "float32"), (3, 5)), (np.zeros((3, 4, 4), "float32"), (3, 4, 4))]
)
def test_data_of_another_shape_is_refused(value: Any, shape: Any) -> None:
    x = ab.Input((4,), name="x")
    with pytest.raises(ShapeError, match="Input 'x' of model 'm' takes another shape") as error:
        ab.Model(x, x + 1.0, name="m")(value)
    assert str(shape) in str(error.value)


def test_a_symbolic_tensor_of_another_shape_is_refused_with_both_places() -> None:
    x = ab.Input((4,), name="x")
    model = ab.Model(x, layers.Dense(2)(x))
    with pytest.raises(ShapeError, match="Input 'x'") as error:
        model(ab.Input((5,)))
    assert str(error.value).count("test_model.py:") == 4


def test_numbers_are_cast_to_the_declared_type() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, x * 1.0)
    for kind in ("float64", "int32", "uint8", "bool"):
        assert model(np.ones((2, 4), kind)).dtype == torch.float32


def test_training_mode_reaches_nested_layers() -> None:
    inner_x = ab.Input((400,))
    inner = ab.Model(inner_x, layers.Dropout(0.5)(inner_x))
    x = ab.Input((400,))
    model = ab.Model(x, inner(x))
    ones = np.ones((1, 400), "float32")
    assert np.array_equal(model(ones), ones)
    assert not np.array_equal(model(ones, training=False) * 2, model(ones, training=True) + model(ones, training=True))
    always = ab.Model(x, layers.Dropout(0.5)(x, training=True))
    assert not np.array_equal(always(ones), ones)
    never = ab.Model(x, layers.Dropout(0.5)(x, training=False))
    assert np.array_equal(never(ones, training=True), ones)


# Sharing and nesting


def test_a_layer_shared_by_two_models_has_one_weight() -> None:
    shared = layers.Dense(4)
    x, y = ab.Input((4,)), ab.Input((4,))
    first, second = ab.Model(x, shared(x)), ab.Model(y, layers.Dense(2)(shared(y)))
    assert first.weights[0] is second.weights[0]
    first.set_weights([np.eye(4, dtype="float32"), np.zeros(4, "float32")])
    assert np.allclose(second.layers[1](A).detach(), A)


def test_parts_of_a_model_are_models_on_the_same_weights() -> None:
    x = ab.Input((4,))
    h = layers.Dense(3, name="features")(x)
    whole = ab.Model(x, layers.Dense(2)(h))
    body = ab.Model(whole.input, whole.get_layer("features").output)
    assert body.weights == whole.weights[:2]
    assert np.allclose(body(A).detach(), whole.get_layer("features")(A).detach())


def test_gradients_reach_every_use_of_a_shared_weight() -> None:
    shared = layers.Dense(4, use_bias=False)
    x = ab.Input((4,))
    model = ab.Model(x, shared(x) + shared(shared(x)))
    model(A).sum().backward()
    by_model = shared.kernel.value.grad.clone()
    shared.kernel.value.grad = None
    kernel = shared.kernel.value
    first = on_device(A) @ kernel.T
    (first + first @ kernel.T).sum().backward()
    assert allclose(by_model, kernel.grad, atol=1e-6)


def test_a_nested_model_keeps_its_names_inside() -> None:
    inner_x = ab.Input((4,))
    inner = ab.Model(inner_x, layers.Dense(4)(inner_x), name="inner")
    x = ab.Input((4,))
    outer = ab.Model(x, layers.Dense(4)(inner(x)))
    assert outer.get_layer("inner") is inner
    assert outer.get_layer("inner").get_layer("dense") is not outer.get_layer("dense")
    assert list(outer.to_torch().state_dict()) == ["inner.dense.weight", "inner.dense.bias", "dense.weight", "dense.bias"]


# Layers by name


def test_get_layer() -> None:
    x = ab.Input((4,), name="x")
    model = ab.Model(x, layers.Dense(2, name="head")(layers.Dense(3)(x)), name="m")
    assert model.get_layer("head") is model.get_layer(index=2) is model.get_layer(index=-1) is model.layers[2]
    assert model.get_layer("dense").units == 3
    with pytest.raises(UnknownNameError, match="Unknown layer 'haed'") as error:
        model.get_layer("haed")
    assert "did you mean 'head'" in str(error.value)
    with pytest.raises(ArgumentError, match="No layer has that index"):
        model.get_layer(index=3)
    for bad in ({}, {"name": "head", "index": 0}):
        with pytest.raises(ArgumentError, match="a name or an index"):
            model.get_layer(**bad)


def test_operators_are_no_layers() -> None:
    x = ab.Input((4,))
    assert [layer.name for layer in ab.Model(x, layers.Dense(4)(x) + x).layers] == ["input_layer", "dense"]


# Weights


def test_weights_of_a_model() -> None:
    x = ab.Input((4,))
    frozen = layers.Dense(3)
    model = ab.Model(x, layers.Dense(2)(frozen(x)))
    frozen.trainable = False
    assert [w.path for w in model.trainable_weights] == ["dense_1/kernel", "dense_1/bias"]
    assert [w.path for w in model.non_trainable_weights] == ["dense/kernel", "dense/bias"]
    assert model.count_params() == 15 + 8
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4
    assert frozen.trainable


def test_set_weights_changes_nothing_unless_all_fit() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2)(x))
    before = model.get_weights()
    with pytest.raises(ArgumentError, match=r"Got \d+ arrays for the \d+ weights"):
        model.set_weights(before[:1])
    with pytest.raises(ShapeError, match="another shape"):
        model.set_weights([before[0] + 1, np.zeros(3, "float32")])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_a_layer_without_weights_yet_says_so() -> None:
    for use in (layers.Dense(2).get_weights, layers.Dense(2).count_params, lambda: layers.Dense(2).set_weights([])):
        with pytest.raises(NotReadyError, match="has no weights yet"):
            use()


# Other values in the place of a tensor


def test_a_layer_in_place_of_a_tensor() -> None:
    with pytest.raises(ArgumentTypeError, match=r"Dense made at .* was never called"):
        layers.Dense(2)(layers.Dense(3))


def test_a_model_without_graph_says_how_to_get_one() -> None:
    class Empty(ab.Model):
        pass

    with pytest.raises(ArgumentError, match="has no graph yet"):
        Empty().inputs


def test_a_subclass_with_its_own_call_runs() -> None:
    class Twice(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            return self.dense(self.dense(inputs))

    model = Twice()
    result = model(A)
    assert tuple(result.shape) == (3, 4)
    assert model.layers == [model.dense]
    assert len(model.weights) == 2
    assert np.allclose(result.detach(), model.dense(model.dense(A)).detach())


def test_optional_inputs_may_be_none() -> None:
    class Plus(layers.Layer):
        def call(self, x: Any, y: Any = None) -> Any:
            return x if y is None else x + y

    a, b = ab.Input((4,), name="a"), ab.Input((4,), name="b", optional=True)
    model = ab.Model([a, b], Plus()(a, b))
    ones = np.ones((3, 4), "float32")
    assert model([ones, None]).tolist() == ones.tolist()
    assert model([ones, ones]).tolist() == (2 * ones).tolist()
    assert model.predict({"a": ones}, verbose=0).tolist() == ones.tolist()
    model.compile("sgd", "mse")
    assert model.evaluate([ones, None], ones, verbose=0) == 0
    with pytest.raises(ValueError, match=r"Input 'a' of model .* is None"):
        model([None, ones])


def test_a_model_may_begin_at_a_tensor_of_another() -> None:
    hidden = layers.Dense(4)(ab.Input((3,)))
    start = ab.Input(tensor=hidden, shape=(4,))
    assert ab.Model(start, layers.ReLU()(start)).input_shape == (None, 4)
    with pytest.raises(ValueError, match=r"another than Input was given"):
        ab.Input(tensor=hidden, shape=(5,))
    with pytest.raises(TypeError, match="takes a symbolic tensor"):
        ab.Input(tensor=np.ones(3))


def test_an_input_that_no_output_needs_is_warned_of() -> None:
    a, b = ab.Input((4,), name="a"), ab.Input((4,), name="b")
    inner = a * 2
    with pytest.warns(UserWarning, match=r"^No output needs Input 'b', made at test_model\.py:\d+: .* leave it out") as found:
        model = ab.Model([a, b], inner)
    assert found[0].filename == __file__
    assert np.array_equal(model([A, B]), A * 2)  # and, as in Keras, the model runs


def test_a_part_of_a_model_may_need_fewer_inputs() -> None:
    a, b = ab.Input((4,)), ab.Input((4,))
    model = ab.Model([a, b], [inner := a * 2, inner + b])
    assert np.array_equal(ab.Model(model.inputs, inner)([A, B]), A * 2)
    assert len(ab.Model([c := ab.Input((4,)), a], [c, a * 1]).inputs) == 2  # an output itself


def test_output_shape_without_calling() -> None:
    a, b = ab.Input((None, 4)), ab.Input((3,), dtype="int32")
    model = ab.Model({"a": a, "b": b}, [layers.Dense(2)(a), layers.Embedding(5, 6)(b)])
    assert model.compute_output_shape({"a": (8, 7, 4), "b": (None, 3)}) == [(8, 7, 2), (None, 3, 6)]
    row = ab.Sequential([layers.Dense(3), layers.Dense(2)])
    assert row.compute_output_shape((None, 4)) == (None, 2)
    assert not row.built


def test_a_model_whose_input_is_not_known_has_no_inputs() -> None:
    model = ab.Sequential([layers.Dense(2)])
    assert not hasattr(model, "inputs")
    assert not hasattr(model, "output_shape")
    model.build((None, 3))
    assert model.inputs[0].shape == (None, 3)


def test_wrong_calls_are_refused() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2)(x))
    data = np.ones((1, 4), "float32")
    with pytest.raises(TypeError, match="0 positional arguments"):
        model()
    with pytest.raises(TypeError, match="foo="):
        model(data, foo=1)
    with pytest.raises(TypeError, match="several inputs as one list"):
        model(data, data)
    with pytest.raises(TypeError, match="integer"):
        model.get_layer(index="a")  # type: ignore[arg-type]
    assert model(data, True).shape == (1, 2)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("forward", r"module = model.to_torch\(\)"), ("register_forward_hook", "to_torch"),
        ("sumary", "did you mean 'summary'"), ("frobnicate", "no attribute 'frobnicate'"),
    ],
)  # fmt: skip
def test_what_a_model_lacks_names_the_way(name: str, way: str) -> None:
    model = ab.Model(x := ab.Input((3,)), layers.Dense(2)(x))
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=way):
        getattr(model, name)


def test_a_property_that_fails_shows_its_own_error() -> None:
    class Failing(ab.Model):
        @property
        def depth(self) -> int:
            return self.missing_thing

    with pytest.raises(AttributeError, match="missing_thing"):
        _ = Failing().depth


@pytest.mark.parametrize(
    ("name", "says"),
    [("quantized_call", "model.quantize"), ("get_quantization_layer_structure", "int8")],
)
def test_words_of_keras_that_are_left_out_say_what_to_write(name: str, says: str) -> None:
    x = ab.Input((2,))
    with pytest.raises(AttributeError, match=says):
        getattr(ab.Model(x, layers.Dense(1)(x)), name)
