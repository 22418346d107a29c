"""Every metric against real Keras: several batches, with and without sample weights, after a reset; signatures and names."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
import keras

from anabranch import metrics
from anabranch.metrics.registry import CLASSES

RNG = np.random.default_rng(1)
B, N, C = 3, 16, 6
"""Batches, samples in each, classes."""


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=(B, N, *shape)).astype("float32")


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(0.01, 0.99, (B, N, *shape)).astype("float32")


def probabilities(*shape: int) -> np.ndarray:
    raw = uniform(*shape)
    return raw / raw.sum(-1, keepdims=True)


def binary(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, (B, N, *shape)).astype("float32")


def numbers(*shape: int, dtype: str = "int64") -> np.ndarray:
    return RNG.integers(0, C, (B, N, *shape)).astype(dtype)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[RNG.integers(0, shape[-1], (B, N, *shape[:-1]))]


CASES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("Accuracy", {}, numbers(1), numbers(1)),
    ("Accuracy", {}, numbers(), numbers()),
    ("BinaryAccuracy", {}, binary(1), uniform(1)),
    ("BinaryAccuracy", {}, binary(), uniform(1)),
    ("BinaryAccuracy", {"threshold": 0.3}, binary(C).astype("int32"), uniform(C)),
    ("CategoricalAccuracy", {}, one_hot(C), probabilities(C)),
    ("CategoricalAccuracy", {}, one_hot(4, C), probabilities(4, C)),
    ("SparseCategoricalAccuracy", {}, numbers(), probabilities(C)),
    ("SparseCategoricalAccuracy", {}, numbers(1), probabilities(C)),
    ("SparseCategoricalAccuracy", {}, numbers(1, dtype="uint8"), real(C)),
    ("SparseCategoricalAccuracy", {}, numbers(4, dtype="float32"), real(4, C)),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot(C), probabilities(C)),
    ("TopKCategoricalAccuracy", {}, one_hot(4, C), probabilities(4, C)),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, numbers(), probabilities(C)),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, numbers(4), probabilities(4, C)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, numbers(), np.round(3 * uniform(C))),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, numbers(), numbers(4).astype("float32")),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2], "dtype": "float32"}, numbers(), numbers()),
    ("IoU", {"num_classes": 4, "target_class_ids": (1,), "ignore_class": 0, "dtype": "float32"}, numbers(), numbers()),
    ("IoU", {"num_classes": C, "target_class_ids": [3, 1], "sparse_y_pred": False, "dtype": "float32"},
     numbers(), probabilities(C)),
    ("BinaryIoU", {"dtype": "float32"}, binary(), uniform()),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3, "dtype": "float32"}, binary(1), uniform(1)),
    ("MeanIoU", {"num_classes": C, "dtype": "float32"}, numbers(), numbers()),
    ("MeanIoU", {"num_classes": C, "ignore_class": 3, "sparse_y_true": False, "dtype": "float32"}, one_hot(C), numbers()),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [0, 1], "dtype": "float32"}, one_hot(C), probabilities(C)),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [5], "sparse_y_pred": True, "dtype": "float32"},
     one_hot(C), numbers()),
    ("OneHotMeanIoU", {"num_classes": C, "dtype": "float32"}, one_hot(C), probabilities(C)),
    ("R2Score", {}, real(C), real(C)),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, real(C), real(C)),
    ("R2Score", {"class_aggregation": None, "num_regressors": 3}, real(C), real(C)),
    ("R2Score", {"num_regressors": 2}, real(1), real(1)),
    ("PearsonCorrelation", {}, real(C), real(C)),
    ("PearsonCorrelation", {"axis": 1}, real(4, C), real(4, C)),
    ("ConcordanceCorrelation", {}, real(C), 3 * real(C)),
    ("ConcordanceCorrelation", {"axis": 1}, real(4, C), real(4, C)),
    ("MeanSquaredError", {}, real(C), real(C)),
    ("MeanSquaredError", {}, real(), real(1)),
    ("MeanAbsoluteError", {}, real(4, C), real(4, C)),
    ("MeanAbsolutePercentageError", {}, real(C), real(C)),
    ("MeanSquaredLogarithmicError", {}, uniform(C), uniform(C)),
    ("RootMeanSquaredError", {}, real(C), real(C)),
    ("RootMeanSquaredError", {}, real(), real(1)),
    ("LogCoshError", {}, real(C), real(C)),
    ("CosineSimilarity", {}, real(C), real(C)),
    ("KLDivergence", {}, probabilities(C), probabilities(C)),
    ("Poisson", {}, numbers(C).astype("float32"), uniform(C)),
    ("BinaryCrossentropy", {}, binary(1), uniform(1)),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, binary(C), real(C)),
    ("CategoricalCrossentropy", {}, one_hot(C), probabilities(C)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, one_hot(C), real(C)),
    ("SparseCategoricalCrossentropy", {}, numbers(1), probabilities(C)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, numbers(4), real(4, C)),
    ("Hinge", {}, binary(C), real(C)),
    ("SquaredHinge", {}, binary(C), real(C)),
    ("CategoricalHinge", {}, one_hot(C), real(C)),
    ("TruePositives", {}, binary(C), uniform(C)),
    ("FalsePositives", {"thresholds": [0.8, 0.1, 0.4]}, binary(1), uniform(1)),
    ("TrueNegatives", {"thresholds": [0.2, 0.7]}, binary(), uniform()),
    ("FalseNegatives", {"thresholds": 0.3}, binary(), uniform(1)),
    ("Precision", {}, binary(1), uniform(1)),
    ("Precision", {"thresholds": [0.0, 0.5, 1.0]}, binary(1), uniform(1)),
    ("Precision", {"top_k": 2}, one_hot(C), probabilities(C)),
    ("Precision", {"class_id": 2, "thresholds": 0.2}, one_hot(C), probabilities(C)),
    ("Precision", {"top_k": 3, "class_id": 1}, one_hot(C), probabilities(C)),
    ("Recall", {}, binary(), uniform(1)),
    ("Recall", {"thresholds": [0.7, 0.2]}, binary(C), uniform(C)),
    ("Recall", {"top_k": 2}, one_hot(C), probabilities(C)),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, binary(1), uniform(1)),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 50}, binary(1), uniform(1)),
    ("PrecisionAtRecall", {"recall": 0.4}, binary(1), uniform(1)),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 1}, binary(1), uniform(1)),
    ("AUC", {}, binary(1), uniform(1)),
    ("AUC", {}, binary(C), uniform(C)),
    ("AUC", {"curve": "PR"}, binary(), uniform(1)),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, binary(1), uniform(1)),
    ("AUC", {"curve": "PRGAIN"}, binary(1), uniform(1)),
    ("AUC", {"summation_method": "minoring", "num_thresholds": 11}, binary(1), uniform(1)),
    ("AUC", {"thresholds": [0.6, 0.1, 0.45]}, binary(1), uniform(1)),
    ("AUC", {"from_logits": True}, binary(1), real(1)),
    ("AUC", {"label_weights": [1, 2, 3, 1, 0, 1]}, binary(C), uniform(C)),
    ("AUC", {"multi_label": True, "thresholds": [0.1, 0.35, 0.8]}, binary(C), uniform(C)),
    ("AUC", {"multi_label": True, "num_labels": C, "curve": "PR", "thresholds": [0.1, 0.35, 0.8],
             "label_weights": [1, 2, 3, 1, 0, 1]}, binary(C), uniform(C)),
    ("F1Score", {}, one_hot(C), probabilities(C)),
    ("F1Score", {"average": "macro", "threshold": 0.2}, one_hot(C), probabilities(C)),
    ("FBetaScore", {"average": "micro", "beta": 2.0}, one_hot(C), probabilities(C)),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}, one_hot(C), probabilities(C)),
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]


def follow(metric: Any, true: np.ndarray, pred: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    for batch in range(len(true)):
        weights = None if weight is None else torch.tensor(weight[batch])
        metric.update_state(torch.tensor(true[batch]), torch.tensor(pred[batch]), weights)
    return np.asarray(metric.result().cpu())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "true", "pred"), CASES, ids=IDS)
def test_values(name: str, arguments: dict, true: np.ndarray, pred: np.ndarray, weighted: bool) -> None:
    weight = RNG.random((B, N)).astype("float32") if weighted else None
    # In Keras a vector of labels beside a column of predictions spoils the weights; there we hold to the columns.
    columns = true[..., None] if weighted and true.ndim < pred.ndim and pred.shape[-1] == 1 else true
    ours, theirs = CLASSES[name](**arguments), getattr(keras.metrics, name)(**arguments)
    want = follow(theirs, columns, pred, weight)
    for _ in range(2):
        np.testing.assert_allclose(follow(ours, true, pred, weight), want, rtol=2e-5, atol=1e-6)
        ours.reset_state()
    assert ours.name == theirs.name.rstrip("_0123456789") or ours.name == theirs.name


def test_auc_keeps_labels_apart() -> None:
    """Keras on torch has no vectorised map for even thresholds, so each column is the oracle."""
    true, pred = binary(3), uniform(3)
    ours = metrics.AUC(multi_label=True)
    columns = [follow(keras.metrics.AUC(), true[..., i], pred[..., i], None) for i in range(3)]
    np.testing.assert_allclose(follow(ours, true, pred, None), np.mean(columns), rtol=1e-5)


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_reductions(name: str) -> None:
    ours, theirs = CLASSES[name](), getattr(keras.metrics, name)()
    batches = [([1, 3, 5, 7], [1, 1, 0, 0.5]), ([1.5, 2.5], None), (RNG.random((4, 3, 2)), RNG.random((4, 3)))]
    for values, weight in [*batches, (RNG.random((4, 3)), RNG.random(4)), (2.5, 64), (torch.tensor(2.5), 64)]:
        ours.update_state(values, weight)
        theirs.update_state(values, weight)
    np.testing.assert_allclose(ours.result(), float(theirs.result()), rtol=1e-6)


def signature(found: Any) -> list[tuple[str, Any]]:
    return [(p.name, p.default) for p in inspect.signature(found).parameters.values()]


@pytest.mark.parametrize("name", sorted({*CLASSES, "Metric", "MeanMetricWrapper"}))
def test_signatures(name: str) -> None:
    assert signature(getattr(metrics, name)) == signature(getattr(keras.metrics, name))
    for method in ("update_state", "result", "reset_state"):
        if name not in ("Metric",):
            assert signature(getattr(CLASSES.get(name, metrics.MeanMetricWrapper), method)) == signature(
                getattr(getattr(keras.metrics, name), method)
            )


def test_every_name_of_keras_that_we_have_means_the_same_class() -> None:
    from keras.src.metrics import ALL_OBJECTS_DICT

    missing = ("Metric", "metric", "MeanMetricWrapper", "mean_metric")
    needs_arguments = ("At", "_at_", "IoU", "io_u")
    for name, theirs in ALL_OBJECTS_DICT.items():
        if not any(part in name for part in missing + needs_arguments) and name not in ("accuracy", "Accuracy", "f_beta_score"):
            found = metrics.get(name)
            assert type(found).__name__ == theirs.__name__
            assert found.name == name


@pytest.mark.parametrize(("name", "arguments", "true", "pred"), CASES, ids=IDS)
def test_config_is_keras_s_and_comes_back(name: str, arguments: dict, true: np.ndarray, pred: np.ndarray) -> None:
    ours, theirs = CLASSES[name](**arguments), getattr(keras.metrics, name)(**arguments)
    lacking = {"name", "label_weights", "thresholds"} if name == "AUC" else {"name"}
    want = {key: value for key, value in theirs.get_config().items() if key not in lacking}
    got = ours.get_config()
    assert want.items() <= got.items()
    again = metrics.deserialize(metrics.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == got
