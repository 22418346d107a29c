"""What a layer says of its inputs is checked at each call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError


class Rows(layers.Layer):
    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.input_spec = spec

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("spec", "right", "wrong"),
    [
        (layers.InputSpec(ndim=2), (3,), (3, 4)),
        (layers.InputSpec(min_ndim=3), (3, 4), (3,)),
        (layers.InputSpec(max_ndim=2), (3,), (3, 4)),
        (layers.InputSpec(axes={-1: 3}), (2, 3), (2, 4)),
        (layers.InputSpec(shape=(None, 3)), (3,), (4,)),
        (layers.InputSpec(shape=(None, 3, 1), allow_last_axis_squeeze=True), (3,), (4,)),
    ],
)
def test_symbols_and_values_are_checked_as_in_keras(keras: Any, spec: Any, right: Any, wrong: Any) -> None:
    layer = Rows(spec)
    assert layer(ab.Input(right)).shape == (None, *right)
    for given in (ab.Input(wrong), np.ones((2, *wrong), "float32")):
        with pytest.raises(ShapeError, match="input_spec"):
            layer(given)
    layer(np.ones((2, *right), "float32"))
    config = spec.get_config() | {"allow_last_axis_squeeze": spec.allow_last_axis_squeeze}
    theirs = keras.layers.Layer(name="theirs")
    theirs.input_spec = keras.layers.InputSpec(**config)
    with pytest.raises(ValueError, match="incompatible"):
        theirs(keras.Input(wrong))


def test_several_inputs_and_dtypes() -> None:
    layer = Rows([layers.InputSpec(ndim=2, name="a"), layers.InputSpec(dtype="int32", name="b")])
    a, b = ab.Input((3,)), ab.Input((3,), dtype="int32")
    layer([a, b])
    layer({"b": b, "a": a})
    with pytest.raises(DtypeError, match="dtype"):
        layer([a, a])
    with pytest.raises(ArgumentError, match="too many inputs, or too few"):
        layer([a])
    with pytest.raises(ArgumentError, match="lacks inputs"):
        layer({"a": a, "c": b})


def test_specs_that_say_nothing_possible() -> None:
    with pytest.raises(ArgumentError, match="axis too many"):
        layers.InputSpec(ndim=2, axes={2: 3})
    with pytest.raises(ArgumentTypeError, match="integer"):
        layers.InputSpec(ndim="two")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="axes of InputSpec"):
        layers.InputSpec(axes=[3])  # type: ignore[arg-type]


def test_other_names_of_layers() -> None:
    for name in ("Convolution2D", "Convolution1DTranspose", "SeparableConvolution2D"):
        assert getattr(layers, name) is getattr(layers, name.replace("Convolution", "Conv"))
    assert layers.TorchModuleWrapper is layers.TorchModule


def test_alpha_dropout_leaves_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=(400, 400)).astype("float32")
    for config in ({}, {"seed": 1}, {"noise_shape": (None, 400)}):
        found = layers.AlphaDropout(0.3, **config)(x, training=True)
        assert abs(found.mean()) < 0.02
        assert abs(found.std() - 1) < 0.02
        commonest = found.flatten().mode().values
        assert 0.28 < float((found == commonest).float().mean()) < 0.32


def test_a_table_both_ways_has_masks_where_there_are_ids() -> None:
    ids = ab.Input((4,), dtype="int32")
    layer = layers.ReversibleEmbedding(6, 3, mask_zero=True)
    x = layer(ids)
    logits = layer(x, reverse=True)
    assert x.masked
    model = ab.Model(ids, [x, logits])
    data = np.array([[1, 2, 0, 0]], "int32")
    rows, found = model(data)
    assert found.shape == (1, 4, 6)
    assert np.allclose((rows @ layer.embeddings.value.T).detach().cpu(), found.detach().cpu(), atol=1e-5)
    assert logits.masked == (getattr(found, "_keras_mask", None) is not None)
    with pytest.raises(ShapeError, match="that of the rows"):
        layer(ab.Input((4, 2)), reverse=True)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_ids_of_any_dtype_have_a_mask_and_vectors_keep_theirs(dtype: str, keras: Any) -> None:
    for space in (ab, keras):
        ids, vectors = space.Input((4,), dtype=dtype), space.Input((4, 3))
        layer = space.layers.ReversibleEmbedding(6, 3, mask_zero=True)
        model = space.Model([ids, vectors], [layer(ids), layer(vectors, reverse=True)])
        rows, logits = model([np.array([[1, 2, 0, 0]], dtype), np.ones((1, 4, 3), "float32")])
        assert rows._keras_mask.tolist() == [[True, True, False, False]]
        assert getattr(logits, "_keras_mask", None) is None
        if space is ab:
            assert [each.masked for each in model.outputs] == [True, False]
            assert not layer(vectors, True).masked
