"""Activations as layers beside real Keras's: options, kinks, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal
from parity import assert_same_as_keras

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError

SHAPE = (3, 4, 5, 6)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"max_value": 1.0},
        {"max_value": 6.0},
        {"negative_slope": 0.2},
        {"threshold": 0.5},
        {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.3},
        {"max_value": 0.0},
    ],
)
def test_relu(keras: Any, config: dict[str, float]) -> None:
    assert_same_as_keras(keras, "ReLU", SHAPE, unknown=(1, 2), **config)


@pytest.mark.parametrize("shared_axes", [None, [1], [1, 2], 3, (1, 2, 3)])
def test_prelu(keras: Any, shared_axes: Any) -> None:
    assert_same_as_keras(keras, "PReLU", SHAPE, shared_axes=shared_axes)


def test_leaky_relu_and_elu(keras: Any) -> None:
    assert_same_as_keras(keras, "LeakyReLU", SHAPE)
    assert_same_as_keras(keras, "LeakyReLU", SHAPE, negative_slope=0.0)
    assert_same_as_keras(keras, "ELU", SHAPE)
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1


@pytest.mark.parametrize("axis", [-1, 1, 0, [1], (1, 2), (-1, 1), [1, 2, 3]])
def test_softmax(keras: Any, axis: Any) -> None:
    assert_same_as_keras(keras, "Softmax", SHAPE, axis=axis)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
@pytest.mark.parametrize("kind", ["bool", "float32", "int32"])
def test_masked_softmax(keras: Any, axis: Any, kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    mask = (rng.random((3, 4, 5)) > 0.4).astype(kind)
    mask[0] = 0  # nothing is left of the first sample
    symbol, symbolic_mask = ab.Input((4, 5)), ab.Input((4, 5), dtype=kind)
    model = ab.Model([symbol, symbolic_mask], layers.Softmax(axis=axis)(symbol, mask=symbolic_mask))
    found = []
    for function in (
        lambda x: layers.Softmax(axis=axis)(x, mask=mask),
        lambda x: model([x, mask]),
        lambda x: keras.layers.Softmax(axis=axis)(x, mask=torch.tensor(mask)),
    ):
        given = torch.tensor(x, requires_grad=True)
        result = function(given)
        (gradient,) = torch.autograd.grad((result**2).sum(), [given])
        assert not gradient.isnan().any()
        found.append(torch.cat([result.detach().cpu(), gradient]))
    assert allclose(found[0], found[1], atol=1e-6)
    assert allclose(found[0], found[2], atol=1e-6)


def test_masked_softmax_in_half_precision() -> None:
    x = np.ones((2, 3), "float16")
    found = layers.Softmax(dtype="float16")(x, mask=np.array([[True, False, True], [False] * 3]))
    assert found.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]


def test_integers_become_floats() -> None:
    x = ab.Input((3,), dtype="int32")
    for layer in (layers.ReLU(), layers.LeakyReLU(), layers.Softmax(), layers.ELU(), layers.PReLU(), layers.Activation("tanh")):
        y = layer(x)
        assert y.dtype == "float32"
        data = np.array([[-1, 0, 2]])
        assert equal(ab.Model(x, y)(data), layer(data))


def test_mistakes() -> None:
    for name in ("max_value", "negative_slope", "threshold"):
        with pytest.raises(ArgumentError, match=name):
            layers.ReLU(**{name: -1.0})
    with pytest.raises(ArgumentTypeError, match="number ≥ 0"):
        layers.LeakyReLU(None)
    with pytest.raises(ArgumentError, match="No such axis"):
        layers.Softmax(axis=3)(ab.Input((4,)))
    with pytest.raises(ShapeError, match="known sizes"):
        layers.PReLU()(ab.Input((None, 4)))


def test_prelu_on_another_shape() -> None:
    """A value of another shape than alpha was made for is refused, rather than stretched."""
    layer = layers.PReLU()
    layer(np.ones((2, 4, 4), "float32"))
    with pytest.raises(ShapeError, match="does not fit alpha"):
        layer(np.ones((2, 4, 4, 4), "float32"))


@pytest.mark.parametrize(
    ("layer", "mask", "fits"),
    [
        (layers.Softmax, (5, 3, 4), (3, 1)),
        (layers.Softmax, (2, 1, 3, 4), (1, 3, 4)),
        (layers.GlobalAveragePooling1D, (5, 3), (1, 1)),
    ],
)
def test_a_mask_that_stretches_what_it_masks_is_refused(layer: Any, mask: tuple[int, ...], fits: tuple[int, ...]) -> None:
    x, made = np.ones((1, 3, 4), "float32"), layer()
    with pytest.raises(ShapeError, match=f"The mask of {layer.__name__} .* does not fit what it masks"):
        made(x, mask=np.ones(mask, "bool"))
    assert made(x, mask=np.ones(fits, "bool")).shape == made(x).shape
    inputs = ab.Input((None, 4))
    model = ab.Model(inputs, made(inputs, mask=np.ones(fits, "bool")))
    assert model(np.ones((2, 3, 4), "float32")).shape == (2, *made(x).shape[1:])
