"""Settings are fields: config is complete and JSON, the attribute is the only truth, users' constructors are read back."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal
from every_layer import CASES, Case

import anabranch as ab
from anabranch import edit, insight, layers, regularizers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, UnknownNameError
from anabranch.layers.configuring import again

CODE = {"Lambda": "a function is code", "TorchModule": "a module is code"}
OWN_KEYS = {  # keys that Keras's config lacks
    "activity_regularizer": "Dense writes it where there is one",
    "trainable": "SpatialDropout leaves it out",
    "seed": "SimpleRNN and RandomGrayscale leave it out",
    "fill_value": "MaxNumBoundingBoxes leaves it out",
    "dtype": "Pipeline leaves it out",
}
OTHER_VALUES = {
    **{(kind, "layer"): "a Dense inside, see OWN_KEYS" for kind in ("TimeDistributed", "SpectralNormalization")},
    ("RandomContrast", "factor"): "Keras writes the range that one number means, and reads it as another",
    ("Pipeline", "layers"): "Keras writes the shapes that layers were built for",
    ("RandomShear", "x_factor"): "Keras writes a range that it refuses to read",
    ("RandomShear", "y_factor"): "Keras writes a range that it refuses to read",
    ("RandomCrop", "seed"): "Keras draws a seed where none was given",
    **{(f"SpatialDropout{rank}D", "dtype"): "Keras writes a name here, a policy elsewhere" for rank in (1, 2, 3)},
}
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


def make(case: Case) -> Any:
    return getattr(layers, case.make)(**case.config)


def plain(value: Any) -> Any:
    """Return a config with lists in the place of tuples."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


DATA = [pytest.param(case, id=case.name) for case in CASES if case.make not in CODE]


@pytest.mark.parametrize("case", DATA)
def test_config_is_json_and_comes_back(case: Case) -> None:
    layer = make(case)
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    twin = type(layer).from_config(json.loads(json.dumps(config)))
    assert twin.get_config() == config
    assert twin is not layer
    assert all(name in config for name, each in getattr(layer, "fields", {}).items() if not each.hidden and name != "broadcast")


@pytest.mark.parametrize("case", DATA)
def test_config_equals_keras_and_keras_config_is_read(keras: Any, case: Case) -> None:
    if not hasattr(keras.layers, case.make) or "broadcast" in case.config:
        pytest.skip("not Keras's")
    try:
        theirs = (case.keras_make or (lambda: getattr(keras.layers, case.make)(**case.config)))()
    except ImportError as error:  # of TensorFlow
        pytest.skip(f"Keras does without this layer here: {error}")
    wanted, found = plain(theirs.get_config()), make(case).get_config()
    assert set(wanted) - set(found) == set()
    assert set(found) - set(wanted) <= set(OWN_KEYS)
    for key, value in wanted.items():
        if key != "name" and (case.make, key) not in OTHER_VALUES:
            assert found[key] == value, key
    read = getattr(layers, case.make).from_config(theirs.get_config()).get_config()
    assert {key: read[key] for key in wanted if (case.make, key) not in OTHER_VALUES} == {
        key: (wanted["name"] if key == "name" else found[key]) for key in wanted if (case.make, key) not in OTHER_VALUES
    }


# A setting changed later


def test_a_change_is_seen_by_call_predict_fit_clone_edit_diff_and_config() -> None:
    x = ab.Input((4,))
    layer = layers.Dense(3, activation="relu")
    model = ab.Model(x, layer(x))
    model.compile("sgd", "mse")
    before = model.predict(X, verbose=0)
    model.fit(X, before, verbose=0)
    layer.activation = "linear"
    linear = X @ layer.kernel.numpy() + layer.bias.numpy()
    assert (linear < 0).any()
    np.testing.assert_allclose(layer(X).detach().cpu().numpy(), linear, atol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), linear, atol=1e-5)
    assert model.evaluate(X, linear, verbose=0) < 1e-9
    loss = model.fit(X, linear, verbose=0, batch_size=8).history["loss"][0]
    assert loss < 1e-9, "the step trains what the layer is now"
    assert layer.get_config()["activation"] == "linear"
    assert ab.models.clone_model(model).layers[1].activation is ab.activations.linear
    assert model.edit().layers[1].activation is ab.activations.linear
    other = ab.Model(x, again(layer)(x))
    other.layers[1].activation = "tanh"
    changes = insight.diff(model, other).changes
    assert [(c.kind, c.before, c.after) for c in changes if "activation" in c.before] == [
        ("config", "activation=linear", "activation=tanh")
    ]
    assert layer._written_code_(named=False) == "Dense(3, activation='linear')"


@pytest.mark.parametrize(
    ("made", "shape", "name", "value"),
    [
        (lambda: layers.Dropout(0.5), (64,), "rate", 0.0),
        (lambda: layers.LeakyReLU(0.1), (64,), "negative_slope", 0.9),
        (lambda: layers.BatchNormalization(), (64,), "epsilon", 10.0),
        (lambda: layers.Rescaling(2.0), (64,), "scale", 5.0),
        (lambda: layers.Softmax(), (8, 8), "axis", 1),
        (lambda: layers.GaussianNoise(1.0), (64,), "stddev", 0.0),
        (lambda: layers.RandomBrightness(0.5), (4, 4, 3), "factor", 0.0),
        (lambda: layers.Dense(4), (64,), "activity_regularizer", "l2"),
        (lambda: layers.Conv2D(2, 3, padding="same"), (4, 4, 3), "activation", "tanh"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_programs_notice_a_change(made: Any, shape: Any, name: str, value: Any) -> None:
    def run(model: Any) -> list[Any]:
        torch.manual_seed(0)
        given = torch.linspace(-1, 1, 4 * int(np.prod(shape))).reshape(4, *shape)
        return [model(given, training=True).detach().cpu().numpy().copy(), *(float(loss.detach()) for loss in model.losses)]

    layer = made()
    x = ab.Input(shape)
    model = ab.Model(x, layer(x))
    before = run(model)
    setattr(layer, name, value)
    after = run(model)
    assert len(before) != len(after) or any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    fresh = again(layer)
    y = ab.Input(shape)
    twin = ab.Model(y, fresh(y))
    if layer.weights:
        fresh.set_weights(layer.get_weights())
    assert fresh.get_config()[name] == layer.get_config()[name]
    assert twin(np.zeros((1, *shape), "float32")).shape == model(np.zeros((1, *shape), "float32")).shape


def test_what_made_weights_or_shapes_is_refused_with_the_reason() -> None:
    dense = layers.Dense(3)
    dense.units = 5
    x = ab.Input((4,))
    assert dense(x).shape == (None, 5)
    with pytest.raises(ArgumentError, match=r"units of Dense(.|\n)*weights were made by it(.|\n)*expected: units=5"):
        dense.units = 6
    pool = layers.MaxPooling2D(2)
    image = ab.Input((8, 8, 3))
    result = pool(image)
    with pytest.raises(ArgumentError, match="output in a graph would be another"):
        pool.padding, pool.strides = "same", 1
    assert pool.strides == (2, 2)
    del result
    with pytest.raises(ArgumentError, match="units of Dense must be an integer"):
        layers.Dense(3).units = 0


def test_options_of_weights_follow_the_fields() -> None:
    layer = layers.SeparableConv2D(4, 3)
    layer(ab.Input((8, 8, 3)))
    layer.pointwise_regularizer = "l2"
    layer.depthwise_constraint = "non_neg"
    assert isinstance(layer.pointwise_kernel.regularizer, regularizers.L2)
    assert layer.depthwise_kernel.regularizer is None
    assert isinstance(layer.depthwise_kernel.constraint, ab.constraints.NonNeg)
    for argument in ("kernel_constraint", "bias_constraint", "kernel_regularizer", "kernel_initializer"):
        with pytest.raises(UnknownNameError):
            layers.Dense(2, **{argument: "nonsense_name"})


def test_a_penalty_set_later_joins_the_loss() -> None:
    x = ab.Input((4,))
    layer = layers.Dense(3)
    model = ab.Model(x, layer(x))
    model.compile("sgd", "mse")
    target = model.predict(X, verbose=0)
    assert model.evaluate(X, target, verbose=0) < 1e-9
    layer.kernel_regularizer = regularizers.L2(1.0)
    assert model.evaluate(X, target, verbose=0) == pytest.approx(float((layer.kernel.numpy() ** 2).sum()), rel=1e-5)


def test_clone_function_names_stay() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2, name="old")(layers.Dense(3)(x)))
    clone = ab.models.clone_model(model, clone_function=lambda layer: type(layer).from_config(
        layer.get_config() | ({"name": f"new_{layer.name}"} if isinstance(layer, layers.Dense) else {})
    ))  # fmt: skip
    assert [layer.name for layer in clone.layers] == ["input_layer", "new_dense", "new_old"]


# Users' constructors


def decorated(function: Any) -> Any:
    def inner(self: Any, *args: Any, **kwargs: Any) -> None:
        function(self, *args, **kwargs)

    return inner


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def inner(self: Any, *args: Any, **kwargs: Any) -> None:
        function(self, *args, **kwargs)

    return inner


class Plain(layers.Layer):
    def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.scale = units, scale

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale


class Decorated(layers.Layer):
    @decorated
    def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.scale = units, scale


class Wrapped(layers.Layer):
    @wrapped
    def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.scale = units, scale


class Closed(layers.Layer):
    def __init__(self, units: int, scale: float = 2.0) -> None:
        super().__init__()
        self.units, self.scale = units, scale


class WithConfig(Plain):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "scale": self.scale}


class Passing(Plain):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


@dataclasses.dataclass(eq=False)
class Data(layers.Layer):
    units: int
    scale: float = 2.0

    def __post_init__(self) -> None:
        super().__init__()


class OfDense(layers.Dense):
    def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(units, activation="relu", **kwargs)
        self.scale = scale


class OfDenseClosed(layers.Dense):
    def __init__(self, units: int, scale: float = 2.0) -> None:
        super().__init__(units, activation="relu")
        self.scale = scale


class OfDenseDecorated(layers.Dense):
    @decorated
    def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(units, activation="relu", **kwargs)
        self.scale = scale


USERS = [Plain, Decorated, Wrapped, Closed, WithConfig, Passing, Data, OfDense, OfDenseClosed, OfDenseDecorated]


@pytest.mark.parametrize("kind", USERS)
@pytest.mark.parametrize("given", [lambda kind: kind(3), lambda kind: kind(3, 5.0), lambda kind: kind(scale=5.0, units=3)])
def test_users_constructors_are_read_back(kind: Any, given: Any) -> None:
    layer = given(kind)
    scale = layer.scale
    assert (layer.get_config()["units"], layer.get_config()["scale"]) == (3, scale)
    layer.scale = 7.0  # the attribute wins over what was given
    config = layer.get_config()
    assert config["scale"] == 7.0
    json.dumps(config)
    for twin in (kind.from_config(config), again(layer)):
        assert (type(twin), twin.units, twin.scale, twin.name) == (kind, 3, 7.0, layer.name)
        assert twin.get_config() == config


def test_what_a_subclass_chose_may_change_and_is_copied() -> None:
    layer = OfDense(3, name="mine")
    assert layer.get_config()["activation"] == "relu"
    layer.activation = "tanh"
    layer.use_bias = False
    for twin in (OfDense.from_config(layer.get_config()), again(layer)):
        assert twin.activation is ab.activations.tanh
        assert not twin.use_bias
        assert twin.name == "mine"

    class Block(layers.Conv2D):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(8, 3, **kwargs)

    block = Block(padding="same")
    block.filters = 4
    assert again(block).filters == 4
    assert again(block).padding == "same"
    assert Block.from_config(block.get_config()).padding == "same"


def test_an_attribute_that_holds_what_was_made_of_the_argument_is_no_setting() -> None:
    class Gate(layers.Layer):
        def __init__(self, inner: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = layers.Dense(inner)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    gate = Gate(4)
    assert gate.get_config()["inner"] == 4
    x = ab.Input((4,))
    model = ab.Model(x, gate(x))
    clone = ab.models.clone_model(model)
    assert clone.layers[1].inner is not gate.inner
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])


def test_layers_and_functions_given_to_a_users_layer_are_copied() -> None:
    class Twice(layers.Layer):
        def __init__(self, inner: Any, function: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner, self.function = inner, function

        def call(self, inputs: Any) -> Any:
            return self.function(self.inner(self.inner(inputs)))

    layer = Twice(layers.Dense(4), lambda value: value * 2)
    x = ab.Input((4,))
    model = ab.Model(x, layer(x))
    clone = ab.models.clone_model(model)
    assert clone.layers[1].inner is not layer.inner
    assert clone.predict(X, verbose=0).shape == (8, 4)
    assert layer.get_config()["inner"]["class_name"] == "Dense"


def test_edits_see_users_settings() -> None:
    x = ab.Input((4,))
    layer = Plain(3)
    model = ab.Model(x, layer(x))
    layer.scale = 5.0
    edited = model.edit(edit.insert_after("plain", layers.ReLU()))
    assert edited.layers[1].scale == 5.0


# Torch's own modules and parameters as attributes


class Held(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lin = torch.nn.Linear(4, 1)
        self.more = {"norm": [torch.nn.BatchNorm1d(4)], "gain": torch.nn.Parameter(torch.ones(4))}

    def call(self, inputs: Any) -> Any:
        return self.lin(self.more["norm"][0](inputs) * self.more["gain"])


def test_modules_and_parameters_of_a_layer_are_its_weights(tmp_path: Any) -> None:
    x = ab.Input((4,))
    layer = Held()
    model = ab.Model(x, layer(x))
    paths = [weight.path for weight in layer.trainable_weights]
    assert paths == ["held/lin/weight", "held/lin/bias", "held/more/0/weight", "held/more/0/bias", "held/more/1"]
    assert insight.summarise(model).rows[1].params == sum(p.numel() for p in (layer.lin.weight, layer.lin.bias)) + 12 + 9
    module = model.to_torch()
    held = [layer.lin.weight, layer.lin.bias, *layer.more["norm"][0].parameters(), layer.more["gain"]]
    assert {id(p) for p in module.parameters()} == {id(p) for p in held}
    before = [p.detach().clone() for p in held]
    model.compile(ab.optimizers.SGD(0.1), "mse")
    model.fit(X, X.sum(1, keepdims=True), epochs=3, verbose=0)
    assert all(not equal(p, old) for p, old in zip(held, before, strict=True))
    expected = model.predict(X, verbose=0)
    assert not layer.more["norm"][0].training
    model.save_weights(tmp_path / "held.safetensors")
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    model.load_weights(tmp_path / "held.safetensors")
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, atol=1e-6)


def test_modules_of_a_subclassed_model_are_its_weights() -> None:
    class Net(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.lin = torch.nn.Linear(4, 1)

        def call(self, inputs: Any) -> Any:
            return self.lin(inputs)

    net = Net()
    net.compile(ab.optimizers.SGD(0.1), "mse")
    before = net.lin.weight.detach().clone()
    net.fit(X, X.sum(1, keepdims=True), verbose=0)
    assert len(net.trainable_weights) == 2
    assert not equal(before, net.lin.weight)


# Faults that follow from the same cause


def test_built_is_true_after_any_build() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def build(self, input_shape: Any) -> None:
            self.inner.build(input_shape)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    class Inner(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.gain = self.add_weight((input_shape[-1],), "ones")

        def call(self, inputs: Any) -> Any:
            return inputs * self.gain

    outer = Outer()
    outer(ab.Input((3,)))
    assert outer.inner.built
    assert outer.count_params() == 3


@pytest.mark.parametrize("kind", [layers.BatchNormalization, layers.RMSNormalization, layers.LayerNormalization])
def test_another_rank_is_refused_when_called_on_arrays_too(kind: Any) -> None:
    layer = kind()
    layer(np.ones((2, 5, 3), "float32"))
    with pytest.raises(ShapeError, match="does not fit"):
        layer(np.ones((2, 5, 5, 3), "float32"))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (layers.Identity, (4,)), (layers.Flatten, (4, 3)), (lambda **k: layers.Reshape((12,), **k), (4, 3)),
        (lambda **k: layers.Permute((2, 1), **k), (4, 3)), (lambda **k: layers.RepeatVector(2, **k), (4,)),
        (layers.ZeroPadding1D, (4, 3)), (layers.Cropping1D, (4, 3)), (layers.UpSampling1D, (4, 3)),
    ],
)  # fmt: skip
def test_a_symbol_has_the_dtype_of_the_value_under_mixed_policies(policy: str, made: Any, shape: Any) -> None:
    layer = made(dtype=policy)
    symbol = layer(ab.Input(shape))
    assert str(layer(np.ones((2, *shape), "float32")).dtype) == f"torch.{symbol.dtype}" == f"torch.{policy[6:]}"


def test_padding_of_steps_with_channels_first() -> None:
    layer = layers.ZeroPadding1D((1, 2), data_format="channels_first")
    assert layer(ab.Input((2, 3))).shape == (None, 2, 6)
    assert tuple(layer(np.ones((1, 2, 3), "float32")).shape) == (1, 2, 6)


def test_a_list_that_holds_itself_is_entered_once() -> None:
    layer = Plain(3)
    layer.loop = [layers.Dense(2)]
    layer.loop.append(layer.loop)
    assert len(layer._sublayers_()) == 1
    assert layer.metrics == []


def test_merges_take_shapes_as_a_tuple() -> None:
    layer = layers.Add()
    layer.build(((2, 4), (2, 4)))
    assert layer.built


def test_a_name_by_position() -> None:
    assert layers.MaxPooling2D(2, 2, "same", None, "pool").name == "pool"
    dropout = layers.SpatialDropout1D(0.5, 1, "drop", "float64")
    assert (dropout.name, dropout.dtype) == ("drop", "float64")
    with pytest.raises(ArgumentTypeError, match="got two values for 'name'"):
        layers.MaxPooling2D(2, 2, "same", None, "pool", name="other")
    with pytest.raises(ArgumentTypeError, match="at most 5 positional"):
        layers.MaxPooling2D(2, 2, "same", None, "pool", True)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_cropping_everything_of_an_unknown_size_is_refused(rank: int) -> None:
    kind = getattr(layers, f"Cropping{rank}D")
    x = ab.Input((*(None,) * rank, 2))
    model = ab.Model(x, layers.Dense(2)(kind(2)(x)))
    model.compile("sgd", "mse")
    assert model.predict(np.ones((2, *(5,) * rank, 2)), verbose=0).shape == (2, *(1,) * rank, 2)
    for size in (4, 3):
        for run in (lambda x: model.predict(x, verbose=0), model, lambda x: model.fit(x, x, verbose=0)):
            with pytest.raises(ShapeError, match=f"Nothing is left of {size} positions"):
                run(np.ones((2, *(size,) * rank, 2), "float32"))
