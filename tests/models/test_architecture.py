"""A model's config: JSON in Keras's form, which Keras reads and which comes back as an equal model with weights of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import anabranch as ab
from anabranch import layers, ops
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.models import architecture, model_from_json

os.environ.setdefault("KERAS_BACKEND", "torch")


def shared(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    dense = k.layers.Dense(3, activation="relu")
    return k.Model([a, b], k.layers.Add()([dense(a), dense(dense2(k)(b))]))


def dense2(k: Any) -> Any:
    return k.layers.Dense(4, use_bias=False, kernel_initializer="he_normal", kernel_regularizer="l2")


def nested(k: Any) -> Any:
    inner_in = k.Input((3,))
    inner = k.Model(inner_in, k.layers.Dense(3)(inner_in), name="inner")
    row = k.Sequential([k.Input((3,)), k.layers.Dense(3, activation="tanh")], name="row")
    x = k.Input((3,))
    y = inner(row(inner(x)))
    return k.Model(x, inner(y))


def dicts(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    return k.Model({"a": a, "b": b}, {"sum": k.layers.Add()([a, b]), "pair": k.layers.Concatenate()([a, b])})


def operators(k: Any) -> Any:
    a, b = k.Input((4,)), k.Input((4,))
    y = (a * 2.0 + 1.0 - b) / (abs(b) + 3.0)
    return k.Model([a, b], [y[:, 0], -y[:, 1:3], (a > b)])


def functions(k: Any) -> Any:
    a, b = k.Input((4,)), k.Input((4,))
    y = k.ops.concatenate([k.ops.relu(a), k.ops.sum(b, axis=-1, keepdims=True)], axis=-1)
    z = k.ops.where(a > 0, a, b)
    return k.Model(
        [a, b], [k.ops.softmax(y), k.ops.reshape(z, (-1, 2, 2)), k.ops.average(a, axis=1), k.ops.einsum("bi,bi->b", a, b)]
    )


def row(k: Any) -> Any:
    return k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.BatchNormalization(), k.layers.Dropout(0.5)])


def images(k: Any) -> Any:
    x, points = k.Input((6, 8, 3)), np.array([[[0, 0], [7, 0], [0, 5], [7, 5]]] * 2, "float32")
    image = k.ops.image
    y = image.hsv_to_rgb(image.rgb_to_hsv(image.resize(x, (6, 7), "bicubic", antialias=True)))
    y = image.gaussian_blur(image.pad_images(y, 1, 1, target_height=8, target_width=9), (3, 3), (1.0, 2.0))
    y = image.affine_transform(y, np.array([[1.1, 0, 1, 0, 0.9, 0, 0, 0]] * 2, "float32"), fill_mode="nearest")
    y = image.perspective_transform(y, points, points * 0.9)
    z = image.scale_and_translate(x, (2, 6, 8, 3), np.array([1.5], "float32"), np.array([0.5], "float32"), (1,), "linear")
    return k.Model(x, [
        image.extract_patches(image.crop_images(y, 1, 1, target_height=4, target_width=4), 2), image.rgb_to_grayscale(z),
        image.ssim(x, z, filter_size=3), image.sobel_edges(x), image.map_coordinates(x, np.ones((4, 5), "float32"), 1),
    ])  # fmt: skip


def normalizations(k: Any) -> Any:
    x = k.Input((4,))
    vector = np.arange(1, 5, dtype="float32")
    y = k.ops.layer_normalization(k.ops.layer_normalization(x, vector, vector, epsilon=1e-4))
    y = k.ops.rms_normalization(k.ops.rms_normalization(y), scale=vector)
    return k.Model(
        x, k.ops.batch_normalization(k.ops.batch_normalization(y, vector, vector, -1), vector, vector, 1, scale=vector)
    )


BUILDS = [shared, nested, dicts, operators, functions, images, row, normalizations]


def data(model: Any) -> Any:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    structure = model.input if len(arrays) > 1 else None
    if isinstance(structure, dict):
        return dict(zip(structure, arrays, strict=True))
    return arrays if len(arrays) > 1 else arrays[0]


def assert_same(model: Any, other: Any) -> None:
    """Compare what two models compute from the same weights, one of them perhaps Keras's."""
    other.set_weights(model.get_weights())
    given = data(model)
    found, expected = other.predict(given, verbose=0), model.predict(given, verbose=0)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = ([each[key] for key in expected] for each in (found, expected))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", BUILDS)
def test_it_comes_back_equal_with_weights_of_its_own(build: Callable[[Any], Any]) -> None:
    model = build(ab)
    text = model.to_json()
    twin = model_from_json(text)
    assert json.loads(twin.to_json()) == json.loads(text)
    assert twin.get_config() == json.loads(json.dumps(twin.get_config()))
    assert not set(model.weights) & set(twin.weights)
    assert_same(model, twin)
    assert_same(model, type(model).from_config(model.get_config()))


@pytest.mark.parametrize("build", BUILDS)
def test_keras_reads_ours(build: Callable[[Any], Any]) -> None:
    keras = pytest.importorskip("keras")
    model = build(ab)
    assert_same(model, keras.models.model_from_json(model.to_json()))


@pytest.mark.parametrize("build", BUILDS)
def test_ours_reads_keras(build: Callable[[Any], Any]) -> None:
    keras = pytest.importorskip("keras")
    model = build(keras)
    assert_same(model, model_from_json(model.to_json()))


def test_functions_are_written_as_keras_does() -> None:
    pytest.importorskip("keras")
    import importlib

    checked, operators = 0, {name for name, _ in architecture.OPERATORS.values()}
    for name in {*dir(ops), *dir(ops.image)} - {"get_item"}:
        module = importlib.import_module(f"keras.src.ops.{architecture.keras_module(name)}")
        kind = vars(module).get(architecture.keras_class(name))
        if kind is None:
            assert name not in architecture._MATH
            continue
        checked += 1
        assert kind.__module__ == module.__name__, name
        if name not in operators | {"hard_swish", "swish"}:  # which are other functions' second names
            assert architecture._function_of(kind.__name__) is getattr(ops if name in dir(ops) else ops.image, name)
    assert checked > 240


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda x: F.linear(x, torch.nn.Parameter(torch.ones(2, 4))), "linear"),
        (lambda x: layers.Lambda(lambda t: t * 2)(x), "lambda"),
        (lambda x: torch.nn.Linear(4, 2)(x), "linear"),
    ],
)
def test_what_has_no_json_is_named_with_its_line(build: Callable[[Any], Any], named: str) -> None:
    x = ab.Input((4,))
    model = ab.Model(x, build(x))
    with pytest.raises(ArgumentTypeError, match=rf"(?s){named}.*test_architecture\.py:\d+"):
        model.to_json()


def test_a_cut_begins_at_an_input() -> None:
    x = ab.Input((4,))
    y = layers.Dense(3, name="first")(x)
    model = ab.Model(y, layers.Dense(2)(y))
    twin = model_from_json(model.to_json())
    assert twin.input_shape == (None, 3)
    assert [layer.name for layer in twin.layers] == ["first", "dense"]


def test_a_sequential_without_an_input_comes_back_unbuilt() -> None:
    twin = model_from_json(ab.Sequential([layers.Dense(2), layers.Dense(1)]).to_json())
    assert isinstance(twin, ab.Sequential)
    assert not twin.built
    assert [layer.units for layer in twin.layers] == [2, 1]


def test_layers_and_models_of_users_come_back() -> None:
    class Scaled(layers.Layer):
        def __init__(self, factor: float, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x: Any) -> Any:
            return x * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    class Named(ab.Model):
        pass

    x = ab.Input((4,))
    model = Named(x, Scaled(3.0)(x))
    with pytest.raises(ArgumentError, match="Named"):
        model_from_json(model.to_json())
    twin = model_from_json(model.to_json(), {"Scaled": Scaled, "Named": Named})
    assert type(twin) is Named
    assert twin.layers[1].factor == 3.0


def test_a_subclass_with_its_own_constructor_has_its_arguments() -> None:
    class Net(ab.Model):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = layers.Dense(units)

    config = Net(3).get_config()
    assert config["units"] == 3
    assert Net.from_config(config).dense.units == 3


def test_deep_graphs_come_back() -> None:
    x = y = ab.Input((1,))
    for _ in range(3000):
        y = y + 1.0
    assert len(model_from_json(ab.Model(x, y).to_json()).graph.nodes) == 3001


def test_broken_json_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no JSON"):
        model_from_json("{")
    x = ab.Input((1,))
    config = ab.Model(x, x + 1.0).get_config()
    config["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["nobody", 0, 0]
    with pytest.raises(ArgumentError, match="no layer 'nobody'"):
        ab.Model.from_config(config)
