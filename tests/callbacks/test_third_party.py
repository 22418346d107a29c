"""Callbacks of Keras's own, and objects with some hooks, are called as ours are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


def model_of() -> Any:
    inputs = ab.Input((2,))
    model = ab.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    return model


class Partial:
    """Has two hooks and nothing else."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append((epoch, sorted(logs)))

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append((batch, logs["loss"] > 0))


def test_an_object_with_some_hooks_is_called() -> None:
    partial = Partial()
    model_of().fit(X, Y, batch_size=4, verbose=0, callbacks=[partial])
    assert partial.seen == [(0, True), (1, True), (0, ["loss"])]


def test_callbacks_of_keras_are_called(keras: Any) -> None:
    seen: list[Any] = []
    model = model_of()
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, mode="max", restore_best_weights=True)
    noting = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[stopping, noting])
    assert len(history.history["loss"]) == 2 == len(seen)
    assert noting.model is model


@pytest.mark.parametrize("wrong", ["EarlyStopping", 3, Partial], ids=["name", "number", "class"])
def test_what_has_no_hooks_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="callback"):
        model_of().fit(X, Y, verbose=0, callbacks=[wrong])
