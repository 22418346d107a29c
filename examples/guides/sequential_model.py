"""The Sequential model: layers in a row, after Keras's guide of that name.

python examples/guides/sequential_model.py          with Keras
anabranch run examples/guides/sequential_model.py   with anabranch
"""

import keras
import numpy as np
from keras import layers
from sections import labels, main, numbers, section


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
    yield {"by the model": model(x), "layer by layer": third(second(first(x)))}


@section("When it is not")
def branches():
    """A stream that leaves and joins again is no row: that takes the functional API, which may contain a Sequential."""
    inputs = keras.Input((8,))
    straight = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(8)], name="straight")
    outputs = layers.add([inputs, straight(inputs)])
    yield {"residual": (keras.Model(inputs, outputs), numbers(3, 8))}


@section("Making one")
def making():
    """From a list, or by add; pop takes the last layer away again."""
    model = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(3, activation="relu"), layers.Dense(4)])
    yield {"from a list": model, "units": [layer.units for layer in model.layers]}

    model = keras.Sequential(name="grown")
    model.add(layers.Dense(2, activation="relu", name="layer1"))
    model.add(layers.Dense(3, activation="relu", name="layer2"))
    model.add(layers.Dense(4, name="layer3"))
    yield {"layers": len(model.layers), "name": model.name}
    popped = model.pop()
    yield {"popped": popped.name, "left": [layer.name for layer in model.layers]}
    yield {"grown": (model, numbers(2, 5))}


@section("A layer gets its weights from its first input")
def weights_of_a_layer():
    """Before it has seen an input, a layer has none: their shapes are not known."""
    layer = layers.Dense(3)
    yield {"before": len(layer.weights)}
    layer(numbers(1, 4))
    yield {"after": [tuple(weight.shape) for weight in layer.weights]}


@section("A model without an input shape waits for data")
def deferred():
    """The first call makes the weights."""
    model = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(3, activation="relu"), layers.Dense(4)])
    yield {"built": model.built, "weights": len(model.weights)}
    y = model(numbers(1, 4))
    yield {"output": tuple(y.shape), "weights": len(model.weights)}
    yield {"called": (model, numbers(2, 4))}


@section("build in place of data")
def built():
    """A shape does as well as data."""
    model = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(4)])
    model.build((None, 6))
    yield {"built": (model, numbers(2, 6))}
    yield {"shapes": [tuple(weight.shape) for weight in model.get_weights()]}


@section("An Input in front")
def with_an_input():
    """With an Input the model has its shapes from the beginning; the Input does not count among the layers."""
    model = keras.Sequential()
    model.add(keras.Input(shape=(4,)))
    model.add(layers.Dense(2, activation="relu"))
    yield {"layers": len(model.layers), "built": model.built, "output shape": tuple(model.output_shape)}
    yield {"with an Input": (model, numbers(3, 4))}


@section("Growing a model with an eye on its shapes")
def debugging():
    """Add layers, look at the summary, decide how far to reduce next."""
    model = keras.Sequential()
    model.add(keras.Input(shape=(62, 62, 3)))
    model.add(layers.Conv2D(8, 5, strides=2, activation="relu"))
    model.add(layers.Conv2D(8, 3, activation="relu"))
    model.add(layers.MaxPooling2D(3))
    yield {"so far": model, "height and width": model.output_shape[1:3]}

    model.add(layers.Conv2D(8, 3, activation="relu"))
    model.add(layers.Conv2D(8, 3, activation="relu"))
    model.add(layers.MaxPooling2D(2))
    yield {"reduced": model, "height and width": model.output_shape[1:3]}

    model.add(layers.GlobalMaxPooling2D())
    model.add(layers.Dense(10))
    yield {"finished": (model, numbers(2, 62, 62, 3))}


@section("Training")
def training():
    """A Sequential is trained like any model."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(16, activation="relu"), layers.Dense(3)])
    yield {"untrained": (model, numbers(4, 6))}
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x, y = numbers(96, 6), labels(96, 3)
    history = model.fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0)
    yield {"history": history.history, "evaluation": model.evaluate(x, y, verbose=0)}
    yield {"predictions": model.predict(x[:4], verbose=0)}


@section("Features from inside")
def features():
    """Every layer of a built row has an output, from which other models can be made."""
    row = keras.Sequential(
        [
            keras.Input(shape=(20, 20, 3)),
            layers.Conv2D(4, 5, strides=2, activation="relu"),
            layers.Conv2D(4, 3, activation="relu", name="middle"),
            layers.Conv2D(4, 3, activation="relu"),
        ]
    )
    yield {"row": row}
    extractor = keras.Model(inputs=row.inputs, outputs=[layer.output for layer in row.layers])
    yield {"every output": (extractor, numbers(1, 20, 20, 3))}
    extractor = keras.Model(inputs=row.inputs, outputs=row.get_layer(name="middle").output)
    yield {"one output": (extractor, numbers(1, 20, 20, 3))}


@section("Transfer: all but the last layer frozen")
def frozen_layers():
    """Frozen layers keep their weights; the last one learns."""
    model = keras.Sequential(
        [
            keras.Input(shape=(12,)),
            layers.Dense(8, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(1),
        ]
    )
    for layer in model.layers[:-1]:
        layer.trainable = False
    yield {"frozen": (model, numbers(2, 12))}
    before = model.get_weights()
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    history = model.fit(numbers(64, 12), numbers(64, 1, seed=1), batch_size=16, epochs=2, shuffle=False, verbose=0)
    changed = [bool(np.any(old != new)) for old, new in zip(before, model.get_weights(), strict=True)]
    yield {"losses": history.history["loss"], "changed": changed}


@section("Transfer: a trained model under a new head")
def frozen_base():
    """The base is one layer of the new row, frozen as a whole."""
    base = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()], name="base"
    )
    base.trainable = False
    model = keras.Sequential([base, layers.Dense(4)])
    yield {"with a head": (model, numbers(2, 16, 16, 3))}
    before = base.get_weights()
    model.compile(optimizer="rmsprop", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(numbers(32, 16, 16, 3), labels(32, 4), batch_size=8, shuffle=False, verbose=0)
    same = [bool(np.all(old == new)) for old, new in zip(before, base.get_weights(), strict=True)]
    yield {"losses": history.history["loss"], "the base is as it was": same}


if __name__ == "__main__":
    main(globals())
