"""Tables of vectors beside real Keras's: lookups, gradients, given tables, ids outside the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, DataError, ShapeError

IDS = np.array([[0, 3, 3], [4, 1, 0]])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
@pytest.mark.parametrize("shape", [(2, 3), (6,), (1, 2, 3)])
def test_equals_keras(keras: Any, dtype: str, shape: tuple[int, ...]) -> None:
    ours, theirs = layers.Embedding(5, 4), keras.layers.Embedding(5, 4)
    ids = IDS.reshape(shape).astype(dtype)
    x = ab.Input((None,) * (len(shape) - 1), dtype=dtype)
    model = ab.Model(x, ours(x))
    theirs.build()
    theirs.set_weights(ours.get_weights())
    found, expected = model(ids), theirs(ids)
    assert found.shape == expected.shape
    assert equal(found, expected)
    assert equal(ours(ids), expected)
    factor = torch.randn(expected.shape)
    (a,) = torch.autograd.grad((found * factor.to(found.device)).sum(), [ours.embeddings.value])
    (b,) = torch.autograd.grad((expected * factor).sum(), [theirs.embeddings.value])
    assert allclose(a, b, atol=1e-6)


def test_given_tables() -> None:
    table = np.arange(20, dtype="float32").reshape(5, 4)
    for weights in (table, [table]):
        layer = layers.Embedding(5, 4, weights=weights)
        assert layer.built
        assert [w.shape for w in layer.weights] == [(5, 4)]
        x = ab.Input((3,), dtype="int32")
        model = ab.Model(x, layer(x))
        np.testing.assert_array_equal(model(IDS).detach(), table[IDS])
        assert layer.path == "embedding"
        assert "weights" not in layer.get_config()
        assert type(layer).from_config(layer.get_config()).output_dim == 4


def test_ids_outside_the_table() -> None:
    x = ab.Input((3,), dtype="int32")
    layer = layers.Embedding(5, 4, name="words")
    model = ab.Model(x, layer(x))
    model.compile(loss="mse")
    target = np.zeros((2, 3, 4))
    for ids, range_text in ((IDS + 1, "ids from 1 to 5"), (IDS - 1, "ids from -1 to 3")):
        for call in (
            layer,
            model,
            lambda ids: model.predict(ids, verbose=0),
            lambda ids: model.fit(ids, target, verbose=0),
            lambda ids: model.evaluate(ids, target, verbose=0),
        ):
            with pytest.raises(DataError, match="outside the table") as caught:
                call(ids)
            assert range_text in str(caught.value)
            assert "from 0 to 4" in str(caught.value)
            assert "words" in caught.value.where


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="input_dim"):
        layers.Embedding(0, 4)
    with pytest.raises(ArgumentError, match="output_dim"):
        layers.Embedding(4, 1.5)
    with pytest.raises(ShapeError, match=r"\(5, 4\)"):
        layers.Embedding(5, 4, weights=np.zeros((4, 5)))
    with pytest.raises(ArgumentError, match="lora_rank"):
        layers.Embedding(5, 4, lora_rank=0)


def test_only_the_table_is_regularized_and_constrained(keras: Any) -> None:
    settings = {"tie_weights": False, "embeddings_regularizer": "l2", "embeddings_constraint": "non_neg"}
    ours, theirs = (space.ReversibleEmbedding(5, 4, **settings) for space in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build()
    theirs.set_weights(ours.get_weights())
    assert np.isclose(*(sum(layer.losses).item() for layer in (ours, theirs)))
    assert [w.constraint is None for w in ours.weights] == [w.constraint is None for w in theirs.weights] == [False, True]
