"""What the tests of training share: numbers and small models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers


@pytest.fixture
def numbers() -> Callable[..., np.ndarray[Any, Any]]:
    """Standard normal numbers of a shape, from a fixed seed."""

    def make(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
        return np.random.default_rng(seed).standard_normal(shape).astype("float32")

    return make


@pytest.fixture
def classifier() -> Callable[..., Any]:
    """A compiled classifier of 4 numbers into 3 classes."""

    def make(loss: Any = "sparse_categorical_crossentropy", metrics: Any = ("acc",), **options: Any) -> Any:
        inputs = ab.Input((4,), name="features")
        x = layers.Dense(8, activation="relu")(inputs)
        model = ab.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x), name="classifier")
        model.compile(ab.optimizers.SGD(0.1), loss, metrics=list(metrics), **options)
        return model

    return make


@pytest.fixture
def forked() -> Callable[..., Any]:
    """An uncompiled model of two inputs and two outputs, as lists or as dicts."""

    def make(*, keyed: bool = False) -> Any:
        left, right = ab.Input((2,), name="left"), ab.Input((3,), name="right")
        joined = layers.Concatenate()([left, right])
        big, small = layers.Dense(3, name="big")(joined), layers.Dense(1, name="small")(joined)
        if keyed:
            return ab.Model({"z": left, "a": right}, {"second": big, "first": small})
        return ab.Model([left, right], [big, small])

    return make
