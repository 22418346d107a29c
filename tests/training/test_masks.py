"""Masks that reach losses and metrics: beside real Keras, trained, evaluated, weighted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers, losses, metrics, runtime

RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 9, (8, 6)).astype("int32")
IDS[np.arange(6) >= np.array([6, 3, 2, 1, 5, 4, 0, 2])[:, None]] = 0  # one row is padding alone
CLASSES = RNG.integers(0, 3, (8, 6))
VALUES = RNG.normal(size=(8, 6, 1)).astype("float32")
WEIGHTS = RNG.random((8,)).astype("float32")


def _tagger(keras: Any) -> Any:
    source = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(10, 5, mask_zero=True)(source)
    x = keras.layers.Dense(7, activation="tanh")(x)
    return keras.Model(source, keras.layers.Dense(3, activation="softmax")(x))


def _scorer(keras: Any) -> Any:
    source = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(10, 5, mask_zero=True)(source)
    return keras.Model(source, keras.layers.Dense(1)(x))


def _both(keras: Any) -> Any:
    source = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(10, 5, mask_zero=True)(source)
    tags = keras.layers.Dense(3, activation="softmax", name="tags")(x)
    mean = keras.layers.Dense(1, name="mean")(keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(10, 2)(source)))
    return keras.Model(source, {"tags": tags, "mean": mean})


CASES: dict[str, tuple[Callable[[Any], Any], dict[str, Any], Any, Any]] = {
    "sparse": (_tagger, {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}, CLASSES, None),
    "weighted": (
        _tagger,
        {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
        CLASSES,
        WEIGHTS,
    ),
    "weighted by step": (
        _tagger,
        {"loss": "sparse_categorical_crossentropy", "weighted_metrics": ["accuracy"]},
        CLASSES,
        np.outer(WEIGHTS, np.arange(1, 7)).astype("float32"),
    ),
    "one-hot": (
        _tagger,
        {"loss": "categorical_crossentropy", "metrics": ["categorical_accuracy", "mae"]},
        np.eye(3, dtype="float32")[CLASSES],
        None,
    ),
    "regression": (_scorer, {"loss": "mse", "metrics": ["mae", "mse"]}, VALUES, None),
    "huber": (_scorer, {"loss": "huber", "metrics": ["mae"]}, VALUES, WEIGHTS),
    "two outputs": (
        _both,
        {
            "loss": {"tags": "sparse_categorical_crossentropy", "mean": "mse"},
            "metrics": {"tags": ["accuracy"], "mean": ["mae"]},
        },
        {"tags": CLASSES, "mean": VALUES[:, 0]},
        None,
    ),
}


def _compiled(keras: Any, make: Callable[[Any], Any], options: dict[str, Any]) -> Any:
    model = make(keras)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.weights])
    model.compile(optimizer=keras.optimizers.SGD(0.5), **options)
    return model


def _by_step(weights: Any) -> Any:
    """Return a weight for each step: Keras on torch cannot weigh samples where steps are masked."""
    return np.repeat(weights[:, None], 6, axis=1) if weights is not None and weights.ndim == 1 else weights


@pytest.mark.parametrize("name", CASES)
def test_loss_metrics_and_training_equal_keras(keras: Any, name: str) -> None:
    make, options, y, weights = CASES[name]
    ours, theirs = _compiled(ab, make, options), _compiled(keras, make, options)
    # Keras on torch multiplies the weights that the metrics see next by the mask in place, and by another number in each batch
    given = {"batch_size": 4 if weights is None else 8, "verbose": 0}
    found = ours.evaluate(IDS, y, sample_weight=weights, return_dict=True, **given)
    expected = theirs.evaluate(IDS, y, sample_weight=_by_step(weights), return_dict=True, **given)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-5), key
    for model, shares in ((ours, weights), (theirs, _by_step(weights))):
        model.fit(IDS, y, sample_weight=shares, epochs=2, shuffle=False, **given)
    for key, values in theirs.history.history.items():
        np.testing.assert_allclose(ours.history.history[key], values, rtol=1e-4, err_msg=key)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_padding_does_not_count() -> None:
    model = _compiled(ab, _tagger, {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]})
    before = model.evaluate(IDS, CLASSES, verbose=0)
    other = np.where(IDS == 0, (CLASSES + 1) % 3, CLASSES)
    assert model.evaluate(IDS, other, verbose=0) == before


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", ["MeanSquaredError", "SparseCategoricalCrossentropy", "Huber", "CosineSimilarity"])
def test_a_loss_called_on_predictions_with_a_mask(keras: Any, name: str, reduction: str | None, weights: Any) -> None:
    pred = torch.softmax(torch.as_tensor(np.random.default_rng(4).normal(size=(8, 6, 3)).astype("float32")), -1)
    true = CLASSES if "Sparse" in name else np.eye(3, dtype="float32")[CLASSES]
    mask = torch.as_tensor(IDS != 0)
    found = getattr(losses, name)(reduction=reduction)(true, runtime.with_mask(pred, mask), sample_weight=weights)
    theirs = pred.clone()
    theirs._keras_mask = mask
    expected = getattr(keras.losses, name)(reduction=reduction)(true, theirs, sample_weight=_by_step(weights))
    np.testing.assert_allclose(found, expected.cpu().numpy(), rtol=1e-5, atol=1e-6)


def test_a_mask_and_a_class_that_does_not_count(keras: Any) -> None:
    pred = torch.softmax(torch.as_tensor(np.random.default_rng(4).normal(size=(8, 6, 3)).astype("float32")), -1)
    found = losses.SparseCategoricalCrossentropy(ignore_class=1)(CLASSES, runtime.with_mask(pred, torch.as_tensor(IDS != 0)))
    pred._keras_mask = torch.as_tensor(IDS != 0)
    expected = keras.losses.SparseCategoricalCrossentropy(ignore_class=1)(CLASSES, pred)
    np.testing.assert_allclose(found, expected.cpu().numpy(), rtol=1e-5)


def test_a_loss_of_torch_needs_its_values_one_by_one() -> None:
    pred, true = runtime.with_mask(torch.zeros(8, 6), torch.as_tensor(IDS != 0)), torch.ones(8, 6)
    with pytest.raises(ValueError, match="and their mask are known"):
        losses.get(torch.nn.MSELoss())(true, pred)
    assert float(losses.get(torch.nn.MSELoss(reduction="none"))(true, pred)) == pytest.approx(1)


def test_a_metric_of_ones_own_function() -> None:
    def error(y_true: Any, y_pred: Any) -> Any:
        return (y_true - y_pred).abs().mean(-1)

    model = _compiled(ab, _scorer, {"loss": error, "metrics": [error]})
    loss, metric = model.evaluate(IDS, VALUES, verbose=0)
    assert loss == pytest.approx(metric, rel=1e-5)
    right = np.abs(VALUES - model.predict(IDS, verbose=0))[IDS != 0].mean()
    assert loss == pytest.approx(right, rel=1e-5)
    assert float(metrics.MeanSquaredError()(VALUES, model(IDS))) == pytest.approx(
        float(np.square(VALUES - model.predict(IDS, verbose=0))[IDS != 0].mean()), rel=1e-5
    )


def test_an_opaque_layer_at_the_end_brings_its_mask() -> None:
    class Peeking(layers.Layer):
        supports_masking = True

        def call(self, inputs: Any) -> Any:
            return inputs * 2 if float(inputs.detach().sum()) < 1e9 else inputs

    source = ab.Input((6,), dtype="int32")
    x = layers.Dense(1)(layers.Embedding(10, 5, mask_zero=True)(source))
    model = ab.Model(source, Peeking()(x))
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = model.evaluate(IDS, VALUES, verbose=0)
    assert loss == pytest.approx(float(np.square(VALUES - model.predict(IDS, verbose=0))[IDS != 0].mean()), rel=1e-5)
