"""Every loss against real Keras: values by sample, every reduction, sample weights, gradients, and signatures."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
import keras

import anabranch as ab
from anabranch import losses
from anabranch.losses.registry import CLASSES

RNG = np.random.default_rng(0)
N, C = 7, 5


def probabilities(*shape: int) -> np.ndarray:
    raw = RNG.random(shape).astype("float32") + 0.05
    return raw / raw.sum(-1, keepdims=True)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[RNG.integers(0, shape[-1], shape[:-1])]


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def units(*shape: int) -> np.ndarray:
    found = real(*shape)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def binary(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype("float32")


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(0.01, 0.99, shape).astype("float32")


def numbers(*shape: int, dtype: str = "int64") -> np.ndarray:
    return RNG.integers(0, C, shape).astype(dtype)


CASES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("MeanSquaredError", {}, real(N, C), real(N, C)),
    ("MeanSquaredError", {}, real(N, 3, C), real(N, 3, C)),
    ("MeanSquaredError", {}, real(N), real(N, 1)),
    ("MeanSquaredError", {}, numbers(N, C, dtype="int32"), real(N, C)),
    ("MeanAbsoluteError", {}, real(N, C), real(N, C)),
    ("MeanAbsolutePercentageError", {}, real(N, C), real(N, C)),
    ("MeanSquaredLogarithmicError", {}, uniform(N, C), uniform(N, C)),
    ("Huber", {}, real(N, C), real(N, C)),
    ("Huber", {"delta": 0.3}, real(N, C), real(N, C)),
    ("LogCosh", {}, real(N, C), 30 * real(N, C)),
    ("CosineSimilarity", {}, real(N, C), real(N, C)),
    ("CosineSimilarity", {"axis": 1}, real(N, 3, C), real(N, 3, C)),
    ("CosineSimilarity", {}, real(N, C), 1e-8 * real(N, C)),
    ("Hinge", {}, binary(N, C), real(N, C)),
    ("Hinge", {}, 2 * binary(N, C) - 1, real(N, C)),
    ("SquaredHinge", {}, binary(N, C), real(N, C)),
    ("CategoricalHinge", {}, one_hot(N, C), real(N, C)),
    ("KLDivergence", {}, probabilities(N, C), probabilities(N, C)),
    ("Poisson", {}, numbers(N, C).astype("float32"), uniform(N, C)),
    ("Dice", {}, binary(N, C), uniform(N, C)),
    ("Dice", {"axis": (1, 2)}, binary(N, 4, 4, 1), uniform(N, 4, 4, 1)),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, binary(N, C), uniform(N, C)),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": 1}, binary(N, C), uniform(N, C)),
    ("CTC", {}, np.array([[1, 2], [2, 0], [3, 3], [4, 1], [1, 0], [0, 0], [2, 2]]), real(N, 6, C)),
    ("Circle", {}, np.array([0, 1, 0, 2, 1, 0, 3]), units(N, C)),
    ("Circle", {"gamma": 2.0, "margin": 0.1, "remove_diagonal": False}, np.array([0, 1, 0, 2, 1, 0, 3])[:, None], units(N, C)),
    ("BinaryCrossentropy", {}, binary(N, 1), uniform(N, 1)),
    ("BinaryCrossentropy", {}, binary(N), uniform(N, 1)),
    ("BinaryCrossentropy", {}, binary(N, C).astype("uint8"), uniform(N, C)),
    ("BinaryCrossentropy", {}, binary(N, 2), np.tile(np.float32([0.0, 1.0]), (N, 1))),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, binary(N, C), 5 * real(N, C)),
    ("BinaryFocalCrossentropy", {}, binary(N, C), uniform(N, C)),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "from_logits": True, "gamma": 1.5, "label_smoothing": 0.1},
     binary(N, C), real(N, C)),
    ("CategoricalCrossentropy", {}, one_hot(N, C), probabilities(N, C)),
    ("CategoricalCrossentropy", {}, one_hot(N, C), uniform(N, C)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, one_hot(N, 2, C), 5 * real(N, 2, C)),
    ("CategoricalCrossentropy", {"axis": 1}, one_hot(N, C, 3), uniform(N, C, 3)),
    ("CategoricalFocalCrossentropy", {}, one_hot(N, C), probabilities(N, C)),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 1.0, "alpha": [0.1, 0.2, 0.3, 0.2, 0.2],
      "label_smoothing": 0.1}, one_hot(N, C), real(N, C)),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, numbers(N), probabilities(N, C)),
    ("SparseCategoricalCrossentropy", {}, numbers(N), probabilities(N, C)),
    ("SparseCategoricalCrossentropy", {}, numbers(N, 1), uniform(N, C)),
    ("SparseCategoricalCrossentropy", {}, numbers(N, 1, dtype="uint8"), uniform(N, C)),
    ("SparseCategoricalCrossentropy", {}, numbers(N, dtype="float32"), uniform(N, C)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, numbers(N, dtype="int32"), 5 * real(N, C)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, numbers(N, 3, 2), 5 * real(N, 3, 2, C)),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, numbers(N, 3, 1), 5 * real(N, 3, C)),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "axis": 1}, numbers(N, 3, 2), 5 * real(N, C, 3, 2)),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, numbers(N, 3), 5 * real(N, 3, C)),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0}, numbers(N), uniform(N, C)),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}, np.array([-1, 0, 1, 2, -1, 3, 4]), real(N, C)),
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "arguments", "true", "pred"), CASES, ids=IDS)
def test_values_and_gradients(name: str, arguments: dict, true: np.ndarray, pred: np.ndarray, reduction: str | None) -> None:
    whole = name in ("Dice", "Tversky") and "axis" not in arguments
    weights = [None] if whole else [None, RNG.random(N).astype("float32"), RNG.random((N, 1)).astype("float32")]
    per_sample = losses.get({"class_name": name, "config": {**arguments, "reduction": None}})(true, pred)
    if per_sample.ndim == 2:
        weights = [None, RNG.random(tuple(per_sample.shape)).astype("float32")]
    if per_sample.ndim == 3:
        weights = [None]
    for weight in weights:
        ours, theirs = torch.tensor(pred, requires_grad=True), torch.tensor(pred, requires_grad=True)
        got = getattr(losses, name, CLASSES[name])(**arguments, reduction=reduction)(torch.tensor(true), ours, weight)
        want = getattr(keras.losses, name)(**arguments, reduction=reduction)(torch.tensor(true), theirs, weight)
        assert got.dtype == want.dtype == torch.float32
        assert got.shape == want.shape
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
        got.sum().backward()
        want.sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arguments", "true", "pred"), CASES, ids=IDS)
def test_a_model_is_evaluated(name: str, arguments: dict, true: np.ndarray, pred: np.ndarray) -> None:
    def evaluated(lib: Any, room: Any) -> float:
        x = lib.Input(pred.shape[1:] or (1,))
        model = lib.Model(x, lib.layers.Identity()(x))
        model.compile(loss=getattr(room, name)(**arguments))
        return float(model.evaluate(pred, true, batch_size=N, verbose=0))

    assert evaluated(ab, losses) == pytest.approx(evaluated(keras, keras.losses), rel=1e-4, abs=1e-5)


FUNCTIONS = sorted({found.function.__name__ for found in CLASSES.values()})


@pytest.mark.parametrize(("name", "arguments", "true", "pred"), CASES, ids=IDS)
def test_functions(name: str, arguments: dict, true: np.ndarray, pred: np.ndarray) -> None:
    function = CLASSES[name].function.__name__
    if true.ndim < pred.ndim and pred.shape[-1] == 1:
        true = true[:, None]
    if true.dtype == np.uint8:
        true = true.astype("int64")
    got = getattr(losses, function)(true, pred, **arguments)
    want = getattr(keras.losses, function)(torch.tensor(true), torch.tensor(pred), **arguments)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def signature(found: Any) -> list[tuple[str, Any]]:
    return [(p.name, p.default) for p in inspect.signature(found).parameters.values()]


@pytest.mark.parametrize("name", sorted({*CLASSES, "Loss", *FUNCTIONS}))
def test_signatures(name: str) -> None:
    assert signature(getattr(losses, name)) == signature(getattr(keras.losses, name))


def test_every_name_of_keras_that_we_have_means_the_same_class() -> None:
    from keras.src.losses import ALL_OBJECTS_DICT

    for name in set(ALL_OBJECTS_DICT) - {"Loss", "LossFunctionWrapper"}:
        ours, theirs = losses.get(name), keras.losses.get(name)
        if inspect.isfunction(theirs):
            assert ours.__name__ == theirs.__name__
        else:
            assert type(ours).__name__ == name


def test_lower_precision_is_computed_in_float32() -> None:
    pred = torch.tensor([[1000.0, 0.0]], dtype=torch.float16)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)(torch.tensor([1]), pred)
    assert loss.dtype == torch.float32
    assert loss.item() == 1000.0


def test_circle_beside_references() -> None:
    true, pred, labels, references = numbers(N), units(N, C), numbers(4), units(4, C)
    got = losses.circle(true, pred, labels, references, remove_diagonal=False, gamma=2.0)
    want = keras.losses.circle(
        torch.tensor(true), torch.tensor(pred), torch.tensor(labels), torch.tensor(references), False, 2.0
    )
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
