"""Plain attributes that a user's ``call`` reads may be set at any time, as in Python; traced code notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import engine, layers

X = np.ones((2, 3), "float32")


class Scaled(layers.Layer):
    """Reads an attribute itself, one in a method, one in a property, and one in a tuple."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale, self.shift, self.power, self.factors = scale, 0.0, 1, [1.0, 1.0]
        self.unread = 0

    @property
    def doubled(self) -> float:
        return 2 * self.power / 2

    def moved(self, x: Any) -> Any:
        return x + self.shift

    def call(self, x: Any) -> Any:
        return self.moved(x * self.scale * self.factors[0]) ** self.doubled


def model_of(layer: Any) -> Any:
    x = ab.Input((3,))
    return ab.Model(x, layer(x))


@pytest.mark.parametrize(
    ("name", "value", "expected"), [("scale", 5.0, 5.0), ("shift", 1.0, 3.0), ("power", 3, 8.0), ("factors", [4.0, 1.0], 8.0)]
)
def test_an_attribute_set_after_predict_takes_effect(name: str, value: Any, expected: float) -> None:
    layer = Scaled()
    inner = model_of(layer)
    outer_x = ab.Input((3,))
    outer = ab.Model(outer_x, inner(outer_x))
    for model in (inner, outer):
        assert (model.predict(X, verbose=0) == 2).all()
    setattr(layer, name, value)
    for model in (inner, outer):
        assert (model.predict(X, verbose=0) == expected).all()
        assert (model(X) == expected).all()


def test_a_list_changed_in_place_takes_effect() -> None:
    model = model_of(layer := Scaled())
    model.predict(X, verbose=0)
    layer.factors[0] = 3.0
    assert (model.predict(X, verbose=0) == 6).all()


@pytest.mark.filterwarnings("ignore:The model has no trainable weights")
def test_a_callback_may_set_an_attribute_while_training() -> None:
    layer = Scaled(0.0)
    model = model_of(layer)
    model.compile(ab.optimizers.SGD(0.0), "mae")

    def on_epoch_begin(epoch: int, logs: Any = None) -> None:
        layer.scale = float(epoch)

    def on_train_batch_end(batch: int, logs: Any = None) -> None:
        layer.shift += 1.0

    callbacks = [ab.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_train_batch_end=on_train_batch_end)]
    losses = []
    for epochs in (1, 2):
        layer.shift = 0.0
        losses += model.fit(
            X, 0 * X, batch_size=1, epochs=epochs, initial_epoch=epochs - 1, verbose=0, callbacks=callbacks
        ).history["loss"]
    assert losses == [0.5, 1.5]  # scale + shift: 0 and 1, 1 and 2


def test_what_call_does_not_read_is_no_reason_to_lower_again() -> None:
    model = model_of(layer := Scaled())
    model.predict(X, verbose=0)
    program = engine.program(model, False)
    layer.unread, layer.note = 1, "more"
    model.predict(X, verbose=0)
    assert engine.program(model, False) is program
    layer.scale = 3.0
    assert engine.program(model, False) is not program


def test_a_layer_that_runs_whole_is_not_watched() -> None:
    class Counting(layers.Layer):
        count = 0

        def call(self, x: Any) -> Any:
            self.count += 1
            return x * self.count if float(x.detach().sum()) > 0 else x

    model = model_of(layer := Counting())
    model.predict(X, verbose=0)
    program, before = engine.program(model, False), layer.count
    model.predict(X, verbose=0)
    assert engine.program(model, False) is program
    assert layer.count == before + 1


def test_models_with_their_own_call_notice_too() -> None:
    class Own(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    model = Own()
    assert (model.predict(X, verbose=0) == 2).all()
    model.scale = 3.0
    assert (model.predict(X, verbose=0) == 3).all()
