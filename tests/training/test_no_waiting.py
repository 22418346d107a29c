"""Between the steps of ``fit`` nothing is read from the device: each reading would make the host wait for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import anabranch as ab
from anabranch import layers

READINGS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero", "aten::equal"}


class Readings(TorchDispatchMode):
    """Counts the operations that bring numbers to the host, where they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.name().split(".")[0] in READINGS
        return func(*args, **(kwargs or {}))


def readings(steps: int, optimizer: Any, loss: Any, metrics: list[Any], *, callbacks: Any = None, **options: Any) -> int:
    inputs = ab.Input((4,))
    x = layers.Dropout(0.1)(layers.BatchNormalization()(layers.Dense(8, activation="relu", kernel_regularizer="l2")(inputs)))
    model = ab.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(optimizer, loss, metrics=metrics)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(steps * 4, 4)).astype("float32"), rng.integers(0, 3, steps * 4)
    if loss != "sparse_categorical_crossentropy":
        data = data[0], np.eye(3, dtype="float32")[data[1]]
    with Readings() as found:
        model.fit(*data, batch_size=4, verbose=0, callbacks=callbacks, **options)
    return found.count


CASES: dict[str, Any] = {
    "sgd": lambda: ("sgd", "sparse_categorical_crossentropy", []),
    "rmsprop and accuracy": lambda: ("rmsprop", "sparse_categorical_crossentropy", ["accuracy"]),
    "adam and its options": lambda: (
        ab.optimizers.AdamW(global_clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2),
        "categorical_crossentropy",
        ["accuracy", "auc", ab.metrics.Precision(), ab.metrics.TopKCategoricalAccuracy(2)],
    ),
    "clipping each": lambda: (ab.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), "mse", ["mae"]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"class_weight": {0: 2.0}}], ids=["plain", "in order", "weighed"])
def test_more_steps_ask_for_no_more_readings(case: str, options: dict[str, Any]) -> None:
    few, many = (readings(steps, *CASES[case](), **options) for steps in (3, 23))
    assert many == few


def test_a_callback_that_looks_is_answered_and_one_that_does_not_costs_nothing() -> None:
    class Silent(ab.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert "loss" in logs

    class Looking(ab.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert logs["loss"] > 0

    few, many = (readings(n, *CASES["rmsprop and accuracy"](), callbacks=[Silent()]) for n in (3, 23))
    assert many == few
    assert readings(23, *CASES["rmsprop and accuracy"](), callbacks=[Looking()]) >= few + 20


def test_readings_are_seen() -> None:
    with Readings() as found:
        torch.ones(3).sum().item()
        bool(torch.ones(1) > 0)
    assert found.count == 2
