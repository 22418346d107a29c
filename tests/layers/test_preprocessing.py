"""Scaling and standardizing beside real Keras: given statistics, and statistics taken from data of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from parity import assert_same_as_keras

from anabranch import Input, Model, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, NotReadyError, ShapeError


def data(*shape: int) -> np.ndarray:
    return (np.random.default_rng(3).normal(5.0, 3.0, shape) * np.arange(1, shape[-1] + 1)).astype("float32")


def test_rescaling(keras: Any) -> None:
    pixels = np.arange(48, dtype="uint8").reshape(1, 4, 4, 3)
    for scale, offset in ((1 / 255, 0.0), (1 / 127.5, -1.0), ([1.0, 2.0, 3.0], 0.5), ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3])):
        ours, theirs = layers.Rescaling(scale, offset), keras.layers.Rescaling(scale, offset)
        symbol = Input((4, 4, 3), dtype="uint8")
        found = Model(symbol, ours(symbol))(pixels)
        assert found.dtype == torch.float32
        assert np.allclose(found, theirs(pixels), atol=1e-6)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("axis", "mean", "variance"),
    [
        (-1, 2.0, 4.0),
        (-1, [1.0, 2.0, 3.0], [1.0, 0.0, 9.0]),
        (None, 2.0, 4.0),
        ((1, -1), [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
        (1, 0.5, 2.0),
    ],
)
def test_given_statistics(keras: Any, axis: Any, mean: Any, variance: Any, invert: bool) -> None:
    assert_same_as_keras(keras, "Normalization", (2, 4, 3), axis=axis, mean=mean, variance=variance, invert=invert)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
@pytest.mark.parametrize("kind", ["array", "tensor", "batches", "pairs", "generator", "integers"])
def test_adapted_statistics(keras: Any, kind: str, axis: Any) -> None:
    x = data(50, 4, 3)
    if kind == "integers":
        x = x.astype("int64")
    ours, theirs = layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
    batches = [x[:20], x[20:30], x[30:]]
    ours.adapt({
        "array": x, "integers": x, "tensor": torch.from_numpy(x), "batches": batches,
        "pairs": [(b, b[:, 0, 0]) for b in batches], "generator": (b for b in batches),
    }[kind])  # fmt: skip
    theirs.adapt(x.astype("float32"))
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(a, b, rtol=2e-5)
    assert np.allclose(ours(x), theirs(x), atol=1e-4)


def test_moments_of_many_numbers_far_from_zero() -> None:
    x = np.random.default_rng(0).normal(1e4, 0.5, (3_000_000, 2)).astype("float32")
    layer = layers.Normalization()
    layer.adapt(x)
    assert np.allclose(layer.mean.numpy(), x.mean(0, dtype="float64"), rtol=1e-7)
    assert np.allclose(layer.variance.numpy(), x.astype("float64").var(0), rtol=1e-5)


def test_adapt_after_the_model_is_made_and_again() -> None:
    symbol = Input((2,))
    layer = layers.Normalization()
    model = Model(symbol, layer(symbol))
    x = data(100, 2)
    with pytest.raises(NotReadyError, match=r"no statistics yet(.|\n)*adapt"):
        model(x)
    for scale in (1.0, 7.0):
        layer.adapt(scale * x)
        result = model(scale * x).cpu().numpy()
        assert np.allclose(result.mean(0), 0, atol=1e-4)
        assert np.allclose(result.std(0), 1, atol=1e-4)


def test_one_axis_of_numbers() -> None:
    layer = layers.Normalization(axis=None)
    layer.adapt(np.arange(5.0))
    assert np.allclose(layer(np.array([[2.0], [4.0]])), [[0.0], [2 / np.sqrt(2.0)]], atol=1e-6)


def test_factors_stretch_the_input_they_are_more_than() -> None:
    for layer in (layers.Rescaling([1.0, 2.0, 3.0]), layers.Rescaling(2.0, offset=np.ones((4, 3)))):
        symbol = layer(Input((4, 1)))
        assert symbol.shape[1:] == layer(np.ones((2, 4, 1))).shape[1:] == (4, 3)
        with pytest.raises(ShapeError, match="2 meets 3"):
            layer(Input((4, 2)))


# Mistakes


@pytest.mark.parametrize("shape", [(4, 1), (4, 2), ()])
def test_statistics_that_do_not_fit_the_input(shape: tuple[int, ...]) -> None:
    layer = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    assert layer(Input((4, 3))).shape == (None, 4, 3)
    assert layer(np.ones((2, 5, 4, 3))).shape == (2, 5, 4, 3)
    with pytest.raises(ShapeError, match=r"statistics were made for(.|\n)*any, 3"):
        layer(Input(shape))
    with pytest.raises(ShapeError, match="statistics were made for"):
        layer(np.ones((2, *shape)))


def test_use_before_adapt() -> None:
    with pytest.raises(NotReadyError, match=r"no statistics yet(.|\n)*adapt\(data\), or mean= and variance="):
        layers.Normalization()(data(4, 3))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], DataError, "no data"),
        (np.zeros((0, 3)), DataError, "no data"),
        ([[1.0, 2.0], [3.0, 4.0]], DataError, r"adapt takes arrays(.|\n)*a float(.|\n)*np.asarray"),
        ("numbers", ArgumentTypeError, "array or an iterable"),
        (3, ArgumentTypeError, "array or an iterable"),
        (np.array([["a", "b"]]), DataError, "takes numbers"),
        (np.array([[1.0, np.nan]]), DataError, "NaN or infinite"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], DataError, r"3 along axis 1(.|\n)*\(2, 4\)"),
        ([np.zeros((2, 3)), np.zeros((2, 3, 3))], DataError, r"2-D(.|\n)*\(2, 3, 3\)"),
    ],
)
def test_what_adapt_refuses(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layers.Normalization().adapt(given)


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="given together"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ArgumentError, match=r"each sample(.|\n)*axis=None"):
        layers.Normalization(axis=0)(Input((3,)))
    with pytest.raises(ShapeError, match="known sizes"):
        layers.Normalization()(Input((3, None)))
    with pytest.raises(ShapeError, match=r"one number, or shape \(3,\)(.|\n)*\(2,\)"):
        layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 1.0])(data(4, 3))


@pytest.mark.parametrize("name", ["mean", "variance"])
def test_statistics_are_weights_that_are_assigned(name):
    x = Input((2,))
    layer = layers.Normalization(mean=0.0, variance=1.0)
    model = Model(x, layer(x))
    model.predict(np.ones((1, 2)), verbose=0)
    with pytest.raises(ArgumentError, match=f"{name} of Normalization .* cannot be set: it is a weight"):
        setattr(layer, name, np.array([4.0, 4.0]))
    getattr(layer, name).assign(np.array([4.0, 4.0]))
    assert model.predict(np.ones((1, 2)), verbose=0).tolist() == [[-3.0, -3.0] if name == "mean" else [0.5, 0.5]]
