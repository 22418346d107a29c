"""The Sequential model: layers in a row, after Keras's guide of that name.

python examples/guides/sequential_model.py          with Keras
anabranch run examples/guides/sequential_model.py   with anabranch
"""

import keras
import numpy as np
from keras import layers
from sections import main, section


def numbers(*shape):
    """Return an array of that shape, the same at every call."""
    return np.random.default_rng(0).random(shape).astype("float32")


@section("When a row is enough")
def one_tensor_in_one_tensor_out():
    """Each layer takes one tensor and gives one: the model is the layers, called in their order."""
    model = keras.Sequential(
        [
            layers.Dense(2, activation="relu", name="first"),
            layers.Dense(3, activation="relu", name="second"),
            layers.Dense(4, name="third"),
        ]
    )
    yield {"row": (model, numbers(3, 3))}
    first, second, third = model.layers
    x = numbers(5, 3)
    yield {"by the model": np.array(model.predict(x, verbose=0))}
    yield {"layer by layer": third(second(first(x)))}


if __name__ == "__main__":
    main(globals())
