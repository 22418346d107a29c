"""A small real model, of ours or of Keras's, and what it is trained on."""

from __future__ import annotations

from typing import Any

import numpy as np


def made(room: Any, learning_rate: Any = 0.1, metrics: Any = ("mae",)) -> Any:
    """Return a compiled model with one weight, of ours or of Keras's."""
    x = room.Input((1,))
    model = room.Model(x, room.layers.Dense(1, use_bias=False, name="dense")(x))
    model.compile(room.optimizers.SGD(learning_rate), loss="mse", metrics=list(metrics))
    return model


def data(count: int = 32) -> tuple[Any, Any]:
    x = np.linspace(-1, 1, count, dtype="float32")[:, None]
    return x, 3 * x
