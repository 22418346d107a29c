"""Programs follow what layers may learn, whatever was run in between."""

from __future__ import annotations

import numpy as np

import anabranch as keras
from anabranch import layers


def test_unfreezing_after_a_frozen_prediction_trains_again() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(1, name="head")(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    model.fit(x, y, verbose=0)
    model.trainable = False
    model.predict(x, verbose=0)
    model.trainable = True
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert (model.get_weights()[0] != before[0]).any()
