"""``make_train_function`` and its like: steps on the batches of an iterator, for loops that users write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, Model, layers

X = np.random.default_rng(0).random((8, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
BATCHES = [(X[:4], Y[:4]), (X[4:], Y[4:])]


def made(library: Any, **options: Any) -> Any:
    inputs = library.Input((3,))
    model = library.Model(inputs, library.layers.Dense(1, kernel_initializer="ones")(inputs))
    model.compile(library.optimizers.SGD(0.1), "mse", metrics=["mae"], **options)
    return model


def test_a_loop_is_that_of_keras(keras: Any) -> None:
    ours, theirs = made(ab), made(keras)
    theirs.make_train_function()
    theirs.make_test_function()
    step, test = ours.make_train_function(), ours.make_test_function()
    assert step is ours.train_function is ours.make_train_function()
    for batch in BATCHES:
        found = step([batch])
        wanted = theirs.train_function([tuple(map(torch.from_numpy, batch))])
        assert found["mae"] == pytest.approx(float(wanted["mae"]), rel=1e-5)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], atol=1e-6)
    ours.reset_metrics()
    assert test(iter(BATCHES))["loss"] == pytest.approx(ours.test_on_batch(*BATCHES[0], return_dict=True)["loss"], rel=1e-5)


def test_it_takes_as_many_batches_as_compile_says() -> None:
    model = made(ab, steps_per_execution=2)
    items = iter(BATCHES * 2)
    model.make_train_function()(items)
    assert (model.optimizer.iterations, len(list(items))) == (2, 2)
    with pytest.raises(ValueError, match="gave no batch"):
        model.train_function(items)


def test_another_compile_needs_another_function() -> None:
    model = made(ab)
    step = model.make_train_function()
    model.compile("sgd", "mae")
    assert model.train_function is None
    assert model.make_train_function() is not step
    assert model.make_train_function(force=True) is not step
    assert dict(model.train_function(BATCHES)).keys() == {"loss"}


def test_predictions_are_tensors() -> None:
    model = made(ab)
    found = model.make_predict_function()(iter(BATCHES))
    np.testing.assert_allclose(found.cpu(), model.predict(X[:4], verbose=0))


class Doubled(Model):
    def train_step(self, data: Any) -> dict[str, Any]:
        return {"seen": 2.0 * len(data[0])}


def test_a_step_of_ones_own_runs() -> None:
    model = Doubled(x := Input((3,)), layers.Dense(1)(x))
    model.compile("sgd", "mse")
    assert dict(model.make_train_function()(BATCHES)) == {"seen": 8.0}


def test_the_model_is_copied_and_pickled_without_it() -> None:
    import copy
    import pickle

    model = made(ab)
    model.make_train_function()(BATCHES)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), ab.models.clone_model(model)):
        twin.make_train_function()(BATCHES)
    assert model.optimizer.iterations == 1
