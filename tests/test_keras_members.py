"""Members that scripts of Keras ask symbolic tensors, variables, initializers and data sets for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from anabranch import (
    FloatDTypePolicy,
    Input,
    KerasTensor,
    Model,
    Variable,
    dtype_policies,
    initializers,
    layers,
    optimizers,
    utils,
)


def test_a_symbolic_tensor_has_keras_members(keras: Any) -> None:
    ours, theirs = Input((3, 1)), keras.Input((3, 1))
    for name in ("shape", "dtype", "ndim", "sparse", "ragged", "ragged_rank", "row_splits_dtype"):
        assert getattr(ours, name) == getattr(theirs, name), name
        assert hasattr(KerasTensor, name), name
    assert not hasattr(KerasTensor, "no_such_member")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.reshape((-1, 6)), lambda x: x.reshape(newshape=(-1, 3, 2)), lambda x: x.squeeze(axis=2),
        lambda x: x.squeeze(2),
    ],
)  # fmt: skip
def test_reshape_and_squeeze_are_keras(keras: Any, change: Any) -> None:
    data = np.arange(12, dtype="float32").reshape(2, 3, 1, 2)
    ours, theirs = Input((3, 1, 2)), keras.Input((3, 1, 2))
    model, reference = Model(ours, change(ours)), keras.Model(theirs, change(theirs))
    assert model.output_shape == reference.output_shape
    np.testing.assert_array_equal(model.predict(data, verbose=0), reference.predict(data, verbose=0))


def test_reshape_and_squeeze_take_the_words_of_torch() -> None:
    x = Input((3, 1, 2))
    assert x.reshape(-1, 6).shape == (None, 6)
    assert x.squeeze(dim=2).shape == (None, 3, 2)
    assert x.squeeze().shape == (None, 3, 2)


def test_a_variable_has_keras_members(keras: Any) -> None:
    for given in ({}, {"aggregation": "mean", "synchronization": "on_read"}, {"aggregation": None, "synchronization": None}):
        ours, theirs = Variable(1.0, **given), keras.Variable(1.0, **given)
        assert (ours.aggregation, ours.synchronization) == (theirs.aggregation, theirs.synchronization)
        assert ours.overwrite_with_gradient is theirs.overwrite_with_gradient is False
    layer, reference = layers.Layer(), keras.layers.Layer()
    assert layer.add_weight((2,), aggregation="sum").aggregation == "sum"
    assert layer.add_weight((2,)).aggregation == reference.add_weight((2,)).aggregation


def test_a_gradient_replaces_no_values() -> None:
    with pytest.raises(ValueError, match="cannot replace its values"):
        Variable(1.0).overwrite_with_gradient = True
    with pytest.raises(ValueError, match="cannot replace its values"):
        layers.Layer().add_weight((2,), overwrite_with_gradient=True)
    Variable(1.0).overwrite_with_gradient = False


def test_an_initializer_is_cloned() -> None:
    made = initializers.RandomUniform(-1, 1, seed=3)
    twin = made.clone()
    assert twin is not made
    np.testing.assert_array_equal(twin((4,)), made((4,)))


class Squares(utils.PyDataset):  # type: ignore[misc]  # a base is lazy
    def __init__(self) -> None:  # which forgets super().__init__()
        pass

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return np.full((2, 1), index, "float32"), np.zeros((2, 1), "float32")


def test_a_data_set_says_how_it_is_fetched() -> None:
    data = Squares()
    assert (data.workers, data.use_multiprocessing, data.max_queue_size) == (1, False, 10)
    model = Model(x := Input((1,)), layers.Dense(1, use_bias=False)(x))
    model.compile("sgd", "mse")
    assert len(model.fit(data, verbose=0).epoch) == 1
    data.workers = 2
    assert (data.workers, Squares().workers) == (2, 1)


def test_names_of_older_keras_mean_todays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop", "SGD"):
            assert getattr(optimizers.legacy, name) is getattr(optimizers, name)
    assert FloatDTypePolicy is dtype_policies.FloatDTypePolicy
