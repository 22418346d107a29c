"""Dense, Identity and Lambda beyond the table: types, functions of several tensors, what a function may ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from parity import assert_same_as_keras

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize("shape", [(3, 6), (3, 4, 6), (3, 2, 4, 6)])
@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
def test_dense(keras: Any, shape: tuple[int, ...], activation: str | None) -> None:
    assert_same_as_keras(keras, "Dense", shape, units=5, activation=activation, unknown=tuple(range(1, len(shape) - 1)))
    assert_same_as_keras(keras, "Dense", shape, units=2, activation=activation, use_bias=False)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "float64"])
def test_dense_of_other_types(dtype: str) -> None:
    x = ab.Input((3,), dtype=dtype)
    layer = layers.Dense(2)
    data = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    result = ab.Model(x, layer(x))(data)
    expected = data.astype("float32") @ layer.kernel.numpy() + layer.bias.numpy()
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.detach(), expected, atol=1e-6)
    np.testing.assert_allclose(layer(data).detach(), expected, atol=1e-6)


def test_identity_passes_nests() -> None:
    a, b = ab.Input((3,)), ab.Input((4, 2), dtype="int32")
    found = layers.Identity()({"a": a, "b": [b]})
    assert found["a"].shape == (None, 3)
    assert (found["b"][0].shape, found["b"][0].dtype) == ((None, 4, 2), "int32")
    model = ab.Model([a, b], found)
    result = model([np.ones((2, 3)), np.ones((2, 4, 2))])
    assert result["b"][0].dtype == torch.int32


# Lambda


def double(x: Any) -> Any:
    return 2 * x


def scaled(x: Any, by: float = 1.0) -> Any:
    return x * by


def pair(x: Any) -> Any:
    return [x + 1, x.mean(1)]


def joined(inputs: Any) -> Any:
    return torch.cat([inputs["a"], inputs["b"]], -1)


def louder_in_training(x: Any, training: bool = False) -> Any:
    return 10 * x if training else x


def where_masked(x: Any, mask: Any = None) -> Any:
    return x if mask is None else x * mask


X = np.arange(6, dtype="float32").reshape(2, 3)


def test_a_function_becomes_the_models_code() -> None:
    x = ab.Input((3,))
    model = ab.Model(x, layers.Lambda(scaled, arguments={"by": 3.0})(x))
    assert model(X).tolist() == (3 * X).tolist()
    assert "input_layer * 3.0" in model.to_torch().code


def test_shapes_are_found_or_given() -> None:
    x = ab.Input((3,))
    found = layers.Lambda(pair)(x)
    assert [tensor.shape for tensor in found] == [(None, 3), (None,)]
    a, b = ab.Model(x, found)(X)
    assert a.tolist() == (X + 1).tolist()
    assert b.tolist() == X.mean(1).tolist()
    assert layers.Lambda(double, output_shape=(3,))(x).shape == (None, 3)
    assert layers.Lambda(lambda x: x[:, :2], output_shape=lambda shape: (shape[0], 2))(x).shape == (None, 2)
    assert layers.Lambda(joined, output_shape=lambda shapes: (None, shapes["a"][1] + shapes["b"][1]))(
        {"a": x, "b": x}
    ).shape == (
        None,
        6,
    )


def test_nests_go_in() -> None:
    inputs = {"a": ab.Input((3,), name="a"), "b": ab.Input((2,), name="b")}
    model = ab.Model(inputs, layers.Lambda(joined)(inputs))
    result = model({"a": X, "b": X[:, :2]})
    np.testing.assert_array_equal(result, np.concatenate([X, X[:, :2]], 1))


def test_training_and_mask_reach_functions_that_take_them() -> None:
    x = ab.Input((3,))
    model = ab.Model(x, layers.Lambda(louder_in_training)(x))
    assert model(X).tolist() == X.tolist()
    assert model(X, training=True).tolist() == (10 * X).tolist()
    assert layers.Lambda(louder_in_training)(X, training=True).tolist() == (10 * X).tolist()
    mask = X > 2
    assert layers.Lambda(where_masked)(X, mask=mask).tolist() == (X * mask).tolist()
    assert layers.Lambda(double)(X, mask=mask, training=True).tolist() == (2 * X).tolist()
    assert layers.Lambda(torch.relu)(X - 2).tolist() == np.maximum(X - 2, 0).tolist()


def test_mistakes() -> None:
    with pytest.raises(ArgumentTypeError, match="wraps a function"):
        layers.Lambda("x * 2")
    with pytest.raises(ArgumentError, match="lora_rank"):
        layers.Dense(4, lora_rank=0)


@pytest.mark.parametrize("dtype", ["a", "int4", "mixed_float16", 3, "flaot32"])
def test_an_input_has_a_dtype_of_data(dtype: Any) -> None:
    with pytest.raises(ValueError, match="Unknown dtype of an Input") as caught:
        ab.Input((3,), dtype=dtype)
    assert "float32" in str(caught.value)
