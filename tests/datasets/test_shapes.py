"""The drawn shapes: their form, that they repeat, and that a small network learns them."""

from __future__ import annotations

import numpy as np
import pytest

import anabranch as keras
from anabranch import layers
from anabranch._errors import ArgumentError
from anabranch.datasets import shapes


def test_form() -> None:
    (x, y), (x_test, y_test) = shapes.load_data(train=300, test=50)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((300, 32, 32, 3), np.uint8, (300, 1), np.uint8)
    assert (x_test.shape, y_test.shape) == ((50, 32, 32, 3), (50, 1))
    assert set(y[:, 0]) == set(range(len(shapes.CLASSES)))


def test_the_same_for_the_same_seed() -> None:
    first, again, other = (shapes.load_data(100, 10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0][0], again[0][0])
    assert (first[0][0] != other[0][0]).any()


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_mistakes(count: object) -> None:
    with pytest.raises(ArgumentError, match="a number of images"):
        shapes.load_data(train=count)  # type: ignore[arg-type]


@pytest.mark.slow
def test_learnable_to_over_95_percent() -> None:
    from anabranch.demo import toy_resnet

    keras.utils.set_random_seed(1)
    (x, y), (x_test, y_test) = shapes.load_data()
    model = toy_resnet()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
    model.fit(x / np.float32(255), y, batch_size=64, epochs=6, verbose=0)
    _, accuracy = model.evaluate(x_test / np.float32(255), y_test, verbose=0)
    assert accuracy > 0.95


def test_a_small_network_learns_part_of_them_quickly() -> None:
    keras.utils.set_random_seed(1)
    (x, y), (x_test, y_test) = shapes.load_data(1000, 300)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.3  # chance is 0.1
