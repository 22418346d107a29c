"""The toy ResNet beside real Keras on real images: with the same first weights and batches, the same losses step by step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch
from anabranch import datasets

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from accuracy import toy_resnet


def compiled(library: Any) -> Any:
    library.utils.set_random_seed(0)
    model = toy_resnet(library)
    for layer in model.layers:
        if type(layer).__name__ == "Dropout":
            layer.rate = 0.0  # the one thing whose random numbers differ
    model.compile(
        optimizer=library.optimizers.RMSprop(1e-3),
        loss=library.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    return model


def test_losses_step_by_step(keras: Any, cifar10_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATA", str(cifar10_folder))
    (x, y), (x_test, y_test) = datasets.cifar10.load_data()
    x, y, x_test, y_test = x[:256] / np.float32(255), y[:256], x_test[:64] / np.float32(255), y_test[:64]
    theirs, ours = compiled(keras), compiled(anabranch)
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(x_test, verbose=0), theirs.predict(x_test, verbose=0), atol=1e-5)
    for step in range(4):
        batch = slice(64 * step, 64 * step + 64)
        expected = theirs.train_on_batch(x[batch], y[batch])
        found = ours.train_on_batch(x[batch], y[batch])
        np.testing.assert_allclose(found, [float(value) for value in expected], rtol=2e-3)
    np.testing.assert_allclose(
        ours.evaluate(x_test, y_test, verbose=0), theirs.evaluate(x_test, y_test, verbose=0), rtol=5e-3, atol=0.02
    )
