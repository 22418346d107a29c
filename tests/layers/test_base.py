"""The layer protocol as users meet it: their own layers, with and without shape rules, of layers, of models, of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, here, on_device

import anabranch as ab
from anabranch import config, layers
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, DtypeError, EngineError, ShapeError

DATA = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


class Linear(ab.Layer):
    """As Keras's own guide writes it."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs: Any) -> Any:
        return torch.matmul(inputs, self.w) + self.b


def run_everywhere(layer: Any, *data: np.ndarray, **extra: Any) -> list[np.ndarray]:
    """Return what the layer gives on numbers, after holding model and module to it."""
    inputs = [ab.Input(array.shape[1:], dtype=str(array.dtype)) for array in data]
    given = inputs if len(inputs) > 1 else inputs[0]
    model = ab.Model(given, layer(given, **extra))
    from anabranch import _tree

    eager = _tree.leaves(layer(list(data) if len(data) > 1 else data[0], **extra))
    results = {"model": model(list(data)), "module": model.to_torch()(*(torch.from_numpy(array).to(here()) for array in data))}
    for result in results.values():
        for a, b, spec in zip(_tree.leaves(result), eager, model.outputs, strict=True):
            assert allclose(a, b, atol=1e-6)
            assert spec.shape[1:] == tuple(b.shape[1:])
            assert spec.shape[0] is None
    return [tensor.detach().cpu().numpy() for tensor in eager]


# Shapes


def test_a_layer_without_shape_rule_is_asked_with_fake_tensors() -> None:
    layer = Linear(5)
    (result,) = run_everywhere(layer, DATA)
    assert np.allclose(result, DATA @ layer.w.numpy() + layer.b.numpy(), atol=1e-6)
    assert [(w.path, w.shape) for w in layer.weights] == [("linear/w", (4, 5)), ("linear/b", (5,))]


@pytest.mark.parametrize("rule", ["list", "dict", "tuple"])
def test_shape_rules_of_several_outputs(rule: str) -> None:
    class Two(ab.Layer):
        def compute_output_shape(self, input_shape: Any) -> Any:
            half = (input_shape[0], input_shape[1] // 2)
            return {"list": [half, half], "tuple": [half, half], "dict": {"p": half, "q": half}}[rule]

        def call(self, x: Any) -> Any:
            a, b = x[:, :2], x[:, 2:]
            return {"list": [a, b], "tuple": [a, b], "dict": {"p": a, "q": b}}[rule]

    first, second = run_everywhere(Two(), DATA)
    assert np.array_equal(first, DATA[:, :2])
    assert np.array_equal(second, DATA[:, 2:])


def test_outputs_without_rule_come_in_their_own_nest() -> None:
    class Parts(ab.Layer):
        def call(self, x: Any) -> Any:
            return {"sum": x.sum(-1), "rest": (x + 1, [x.argmax(-1)])}

    x = ab.Input((4,))
    made = Parts()(x)
    assert made["sum"].shape == (None,)
    assert made["rest"][1][0].dtype == "int64"
    run_everywhere(Parts(), DATA)


def test_sizes_that_follow_from_unknown_ones_are_unknown() -> None:
    class Doubled(ab.Layer):
        def call(self, x: Any) -> Any:
            return torch.cat([x, x], dim=1)

    assert Doubled()(ab.Input((None, 3))).shape == (None, None, 3)
    assert Doubled()(ab.Input((5, 3))).shape == (None, 10, 3)


def test_a_call_that_fails_on_shapes_says_so() -> None:
    class Wrong(ab.Layer):
        def call(self, x: Any) -> Any:
            return x @ torch.ones(9, 9)

    with pytest.raises(EngineError, match="The call of Wrong fails on these shapes") as error:
        Wrong()(ab.Input((4,)))
    assert "test_base.py:" in str(error.value)


def test_a_call_that_gives_no_tensor_says_so() -> None:
    class Nothing(ab.Layer):
        def call(self, x: Any) -> Any:
            return None

    with pytest.raises(EngineError, match="gave nothing where a tensor belongs"):
        Nothing()(ab.Input((4,)))


def test_a_layer_must_write_call() -> None:
    class Empty(ab.Layer):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    with pytest.raises(NotImplementedError, match="Empty must write call"):
        Empty()(DATA)
    with pytest.raises(NotImplementedError, match="has no shape rule"):
        ab.Layer().compute_output_shape((None, 4))


# Layers of layers, of models, of torch's functions


class Block(ab.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = [layers.Dense(units, activation="relu"), layers.Dense(units)]
        self.norm = layers.LayerNormalization()

    def call(self, x: Any, training: bool = False) -> Any:
        for step in self.steps:
            x = step(x)
        return self.norm(x)


def test_a_layer_of_layers() -> None:
    block = Block(6)
    run_everywhere(block, DATA)
    assert [w.path for w in block.weights] == [
        "block/dense/kernel", "block/dense/bias", "block/dense_1/kernel", "block/dense_1/bias",
        "block/layer_normalization/gamma", "block/layer_normalization/beta",
    ]  # fmt: skip
    assert len(block._sublayers_()) == 3
    block.trainable = False
    assert block.trainable_weights == []
    assert not block.steps[0].trainable


def test_training_mode_reaches_layers_inside() -> None:
    class Noisy(ab.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.drops = [layers.Dropout(0.5), layers.Dropout(0.1)]

        def call(self, x: Any) -> Any:
            for drop in self.drops:
                x = drop(x)
            return x

    ones = np.ones((1, 200), "float32")
    x = ab.Input((200,))
    model = ab.Model(x, Noisy()(x))
    assert np.array_equal(model(ones), ones)
    assert not np.array_equal(model(ones, training=True), ones)
    assert not np.array_equal(Noisy()(ones, training=True), ones)


def test_a_layer_that_holds_a_model() -> None:
    x = ab.Input((4,))
    inner = ab.Model(x, layers.Dense(4, name="inside")(x), name="inner")

    class Holder(ab.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x: Any) -> Any:
            return self.inner(x) + self.inner(x * 2.0)

    holder = Holder()
    (result,) = run_everywhere(holder, DATA)
    kernel, bias = inner.get_weights()
    assert np.allclose(result, DATA @ kernel * 3 + 2 * bias, atol=1e-5)
    assert len(holder.weights) == 2


def test_a_layer_that_forgets_to_initialise_its_base_still_works() -> None:
    class Careless(ab.Layer):
        def __init__(self) -> None:
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    assert Careless().name == "careless"
    run_everywhere(Careless(), DATA)


def test_further_arguments_of_the_call() -> None:
    class Scaled(ab.Layer):
        def call(self, x: Any, by: float = 1.0, plus: Any = None) -> Any:
            return x * by if plus is None else x * by + plus

    (result,) = run_everywhere(Scaled(), DATA, by=3.0)
    assert np.allclose(result, DATA * 3)
    a, b = ab.Input((4,)), ab.Input((4,))
    model = ab.Model([a, b], Scaled()(a, plus=b))
    assert np.allclose(model([DATA, DATA]), 2 * DATA)
    assert np.allclose(Scaled()(DATA, 2.0, plus=DATA), 3 * DATA)


# Types


def test_floats_are_cast_to_the_layers_type_unless_it_says_otherwise() -> None:
    x = ab.Input((4,), dtype="float64")
    dense = layers.Dense(2)
    model = ab.Model(x, dense(x))
    assert model.outputs[0].dtype == "float32"
    for result in (model(DATA), model.to_torch()(on_device(DATA).double()), dense(DATA.astype("float64"))):
        assert result.dtype == torch.float32
    doubled = layers.Dense(2, dtype="float64")
    assert doubled(ab.Input((4,))).dtype == "float64"
    assert doubled(DATA).dtype == torch.float64


def test_the_default_float_type_is_the_configured_one() -> None:
    config.set_floatx("float64")
    try:
        assert layers.Dense(2)(DATA).dtype == torch.float64
    finally:
        config.set_floatx("float32")


# Mistakes


def test_unknown_arguments_are_refused_with_the_nearest() -> None:
    with pytest.raises(ArgumentTypeError, match="Dense takes no argument 'activaton'") as error:
        layers.Dense(2, activaton="relu")
    assert "did you mean 'activation'" in str(error.value)
    assert "test_base.py:" in str(error.value)
    with pytest.raises(ArgumentTypeError, match="Linear takes no argument 'zzz'"):
        Linear(zzz=1)


@pytest.mark.parametrize("shape", [(None, 3), (-1,)])
def test_weights_have_known_sizes(shape: Any) -> None:
    with pytest.raises(ShapeError, match="known integers"):
        ab.Layer().add_weight(shape)
    with pytest.raises(ArgumentTypeError, match="shape of add_weight must be an integer, or a list of integers"):
        ab.Layer().add_weight((2.5,))


def test_weights_by_default() -> None:
    layer = ab.Layer()
    scalar, row, count = layer.add_weight(), layer.add_weight(3), layer.add_weight((2,), dtype="int32", trainable=False)
    assert (scalar.shape, row.shape, count.shape) == ((), (3,), (2,))
    assert not count.numpy().any()
    assert [w.name for w in layer.weights] == ["variable", "variable_1", "variable_2"]
    assert isinstance(row.value, torch.nn.Parameter)
    assert not isinstance(count.value, torch.nn.Parameter)


@pytest.mark.parametrize("data", ["text", {"a": "b"}, object()])
def test_what_is_no_tensor_is_refused(data: Any) -> None:
    with pytest.raises((ArgumentTypeError, DtypeError)):
        layers.Dense(2)(data)


def test_strings_are_no_numbers() -> None:
    with pytest.raises(DtypeError, match="not numbers"):
        layers.Dense(2)(np.array([["a", "b"]]))


def test_lists_of_numbers_are_data() -> None:
    dense = layers.Dense(2, kernel_initializer="ones")
    assert dense([[1.0, 2.0]]).tolist() == [[3.0, 3.0]]


def test_inputs_of_another_size_than_built_for() -> None:
    dense = layers.Dense(2)
    dense(DATA)
    with pytest.raises(ShapeError, match="another size than the kernel was made for"):
        dense(ab.Input((5,)))
    with pytest.raises(ShapeError, match="another size than the kernel was made for"):
        dense(DATA[:, :3])


# Config


FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


def test_config_holds_what_was_given() -> None:
    layer = Linear(7, name="mine", trainable=False)
    assert layer.get_config() == {"name": "mine", "trainable": False, "dtype": FLOAT32, "units": 7}
    again = Linear.from_config(layer.get_config())
    assert (again.units, again.name, again.trainable) == (7, "mine", False)
    assert Linear(units=2).get_config()["units"] == 2


def test_repr() -> None:
    dense = layers.Dense(2, name="d")
    assert repr(dense) == "<Dense 'd', not built>"
    dense(DATA)
    assert repr(dense) == "<Dense 'd'>"


def test_legacy_words_for_the_input_say_one_thing(keras: Any) -> None:
    assert layers.Dense(2, input_shape=(4,))._first_shape_ == (None, 4)
    assert layers.Dense(2, input_shape=4)._first_shape_ == (None, 4)
    assert layers.Dense(2)._first_shape_ is None


@pytest.mark.parametrize("bad", [-1, (3, "a"), "32", True, 2.5])
def test_shapes_of_inputs(bad: Any) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        ab.Input(bad)


def test_a_layer_that_keeps_count_does_so_lowered_too() -> None:
    class Total(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.total = self.add_weight(shape=(2,), initializer="zeros", trainable=False)

        def call(self, x: Any) -> Any:
            self.total.assign_add(x.sum(0))
            return x + self.total

    layer = Total()
    ones = np.ones((2, 2), "float32")
    x = ab.Input((2,))
    model = ab.Model(x, layer(x))
    assert layer.total.numpy().tolist() == [0, 0], "describing runs nothing"
    layer.total.assign([0.0, 0.0])
    for expected in (2, 4, 6):
        assert model.predict(ones, verbose=0).tolist() == [[expected + 1] * 2] * 2
    assert layer(ones).tolist() == [[9, 9]] * 2
    module = model.to_torch()
    assert module(on_device(ones)).tolist() == [[11, 11]] * 2
    assert "opaque" not in str(module).lower()
    layer.total.assign_sub(np.ones(2))
    assert layer.total.numpy().tolist() == [9, 9]
    with pytest.raises(ValueError, match="another shape"):
        layer.total.assign([1.0, 2.0, 3.0])


def test_a_layer_of_another_float_type_is_described_as_it_runs() -> None:
    class Gated(layers.Layer):
        def call(self, x: Any, by: Any) -> Any:
            return x * by

    x = ab.Input((3,))
    model = ab.Model(x, Gated(dtype="float64")(x, by=x))
    given = np.ones((2, 3), "float32")
    assert model.output.dtype == "float64"
    assert model(given).dtype == model.layers[1](given, by=given).dtype == torch.float64


def test_a_weights_value_in_a_call_is_traced() -> None:
    class Plain(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[-1], 2), name="w")

        def call(self, x: Any) -> Any:
            return x @ self.w.value

    x, layer = ab.Input((3,)), Plain()
    model = ab.Model(x, layer(x))
    assert allclose(model(np.ones((2, 3))), layer(np.ones((2, 3))))
    assert type(layer.w.value) is torch.nn.Parameter
    assert "@" in model.to_torch().code


def test_a_build_of_several_shapes() -> None:
    """``build(self, a_shape, b_shape)`` gets the shape of each argument of ``call`` of that name, however it is passed."""

    class Scaled(layers.Layer):
        def build(self, a_shape: Any, b_shape: Any, c_shape: Any = None) -> None:
            self.shapes = a_shape, b_shape, c_shape
            self.kernel = self.add_weight((a_shape[-1], b_shape[-1]))

        def call(self, a: Any, b: Any, c: Any = None) -> Any:
            return a @ self.kernel * b

    a, b = np.ones((2, 3), "float32"), np.ones((2, 5), "float32")
    for call in (lambda layer: layer(a, b), lambda layer: layer(a, b=b), lambda layer: layer(b=b, a=a)):
        layer = Scaled()
        assert call(layer).shape == (2, 5)
        assert layer.shapes == ((2, 3), (2, 5), None)
    symbols = ab.Input((3,)), ab.Input((5,))
    assert ab.Model(symbols, Scaled()(*symbols)).predict([a, b], verbose=0).shape == (2, 5)


def test_the_penalty_of_an_empty_batch_is_0() -> None:
    """A penalty on activity is divided by the batch's size, but for a batch of no samples, which costs nothing."""
    layer = layers.Dense(2, activity_regularizer="l2")
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layer(inputs))
    for callable_ in (layer, model):
        callable_(np.ones((0, 3), "float32"))
        assert [float(loss.detach()) for loss in callable_.losses] == [0.0]


# Arguments of a call


MISCALLED = {
    "unknown": lambda x: layers.Dense(2)(x, foo=1),
    "two tensors": lambda x: layers.Dense(2)(x, x),
    "too many": lambda x: layers.Dropout(0.5)(x, True, 3),
    "branches": lambda x: layers.Add()(x, x),
    "concatenated": lambda x: layers.Concatenate()(x, x),
    "nested": lambda x: NESTED(x, x),
    "nested, unknown": lambda x: NESTED(x, foo=1),
    "row": lambda x: ab.Sequential([layers.Dense(2)])(x, x),
    "row, unknown": lambda x: ab.Sequential([layers.Dense(2)])(x, foo=1),
}
NESTED = ab.Sequential([layers.Input((4,)), layers.Dense(2)])


@pytest.mark.parametrize("call", MISCALLED.values(), ids=MISCALLED)
@pytest.mark.parametrize("x", [np.ones((2, 4), "float32"), ab.Input((4,))], ids=["values", "symbols"])
def test_arguments_that_a_layer_does_not_take_are_refused(call: Any, x: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="arguments that it does not take"):
        call(x)


@pytest.mark.parametrize("x", [np.ones((2, 4), "float32"), ab.Input((4,))], ids=["values", "symbols"])
def test_training_and_mask_are_taken_by_every_layer(x: Any) -> None:
    for layer in (layers.Identity(), layers.Dense(2), layers.Flatten(), NESTED, layers.ReLU()):
        assert layer(x, training=True).shape[0] == x.shape[0]
    assert NESTED(x, True).shape[0] == x.shape[0]
    assert layers.Add()([x, x], training=False).shape == x.shape


@pytest.mark.parametrize("value", [np.ones((3, 2), "complex64"), torch.ones(3, 2, dtype=torch.complex64)])
def test_complex_values_of_a_weight_are_refused(value: Any) -> None:
    dense = layers.Dense(2)
    dense.build((None, 3))
    for assign in (dense.kernel.assign, lambda x: dense.set_weights([x, np.ones(2)])):
        with pytest.raises(DtypeError, match="real numbers"):
            assign(value)


def test_annotations_that_are_objects_are_read_as_those_that_are_text() -> None:
    def call(self: Any, x: Any, scale: float, sizes: list[int] | None = None) -> Any:
        return x * scale

    call.__annotations__ = {"x": Any, "scale": float, "sizes": list[int] | None, "return": torch.Tensor}
    own = type("Own", (layers.Layer,), {"call": call})
    with pytest.raises((ArgumentTypeError, TypeError), match="scale"):
        own()(DATA)


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (lambda: layers.Dense(4), (3,)),
        (lambda: layers.Conv1D(4, 3), (5, 3)),
        (lambda: layers.Conv2DTranspose(4, 3), (5, 5, 3)),
        (lambda: layers.SeparableConv1D(4, 3), (5, 3)),
        (lambda: layers.LayerNormalization(), (5, 3)),
        (lambda: layers.BatchNormalization(), (5, 3)),
        (lambda: layers.PReLU(shared_axes=[1]), (5, 3)),
    ],
)
def test_a_built_layer_takes_a_size_that_is_not_known(make: Callable[[], ab.Layer], sizes: tuple[int, ...]) -> None:
    layer = make()
    known, symbol = layer(ab.Input(sizes)), ab.Input((*sizes[:-1], None))
    unknown = layer(symbol)
    assert unknown.shape in (known.shape, (*known.shape[:-1], None))
    x = np.ones((2, *sizes), "float32")
    assert allclose(ab.Model(symbol, unknown)(x), layer(x), atol=1e-6)
    with pytest.raises(AnabranchError):
        ab.Model(symbol, unknown)(np.ones((2, *sizes[:-1], 7), "float32"))


def test_sizes_that_a_call_reads_fit_what_it_reshapes() -> None:
    """As layers of patches and of depth to space do: the batch is read, and all sizes are given."""

    class DepthToSpace(layers.Layer):
        def call(self, x: Any) -> Any:
            batch, height, width, depth = ab.ops.shape(x)
            x = ab.ops.reshape(x, [batch, height, width, 2, 2, depth // 4])
            x = ab.ops.transpose(x, [0, 1, 3, 2, 4, 5])
            return ab.ops.reshape(x, [batch, height * 2, width * 2, depth // 4])

    values = np.arange(2 * 3 * 5 * 4, dtype="float32").reshape(2, 3, 5, 4)
    for shape in ((3, 5, 4), (None, 5, 4), (None, None, 4)):
        x = ab.Input(shape)
        y = DepthToSpace()(x)
        assert y.shape == (None, *(None if size is None else 2 * size for size in shape[:2]), 1)
        assert ab.Model(x, y).predict(values, verbose=0)[0, :2, :2, 0].ravel().tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("make", [lambda: layers.Dense(2), lambda: layers.LSTM(2), lambda: layers.Conv1D(2, 2), layers.ReLU])
def test_complex_values_do_not_lose_their_imaginary_part(make: Any) -> None:
    x = torch.ones(2, 3, 4, dtype=torch.complex64) * 1j
    with pytest.raises(AnabranchError):
        make()(x)
    inputs = ab.Input((3, 4))
    for model in (ab.Model(inputs, make()(inputs)), ab.Sequential([make()])):
        if isinstance(model, ab.Sequential):
            model.build((None, 3, 4))
        with pytest.raises(DtypeError, match="complex"):
            model(x)
        with pytest.raises(DtypeError, match="complex"):
            model.predict(x)
    assert torch.is_complex(layers.Identity()(x))


@pytest.mark.parametrize("how", ["numbers", "list", "symbols", "inside"])
@pytest.mark.parametrize("make", [lambda: layers.Dense(2), lambda: layers.BatchNormalization(), lambda: layers.Softmax()])
def test_an_input_by_name_is_cast_as_one_by_position(make: Callable[[], Any], how: str) -> None:
    layer, x = make(), np.arange(8).reshape(2, 4)

    class Outer(ab.Layer):
        def call(self, inputs: Any) -> Any:
            return layer(inputs=inputs)

    expected = layer(x)
    if how == "numbers":
        found = layer(inputs=x)
    elif how == "list":
        found = layer(inputs=x.tolist())
    elif how == "inside":
        found = Outer()(x)
    else:
        ids = ab.Input((4,), dtype="int64")
        found = on_device(torch.from_numpy(ab.Model(ids, layer(inputs=ids)).predict(x, verbose=0)))
    assert found.dtype == torch.float32
    assert allclose(found, expected)


def test_options_by_name_stay_what_they_are() -> None:
    class Scaled(ab.Layer):
        def call(self, inputs: Any, counts: Any, sizes: Any = None) -> Any:
            assert isinstance(counts, list)
            assert isinstance(sizes, list)
            return inputs * len(counts)

    assert Scaled()(inputs=DATA, counts=[1, 2], sizes=[3]).tolist() == (2 * DATA).tolist()
