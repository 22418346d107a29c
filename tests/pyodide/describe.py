"""Describe models and print what is seen of them; `make pyodide` compares what Pyodide and CPython print."""

import sys

import anabranch as keras
from anabranch import edit, layers


def resnet() -> keras.Model:
    inputs = keras.Input((32, 32, 3), name="img")
    x = layers.MaxPooling2D(3)(layers.Conv2D(64, 3, activation="relu")(inputs))
    y = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    y = layers.BatchNormalization()(layers.Conv2D(64, 3, padding="same")(y))
    x = layers.GlobalAveragePooling2D()(layers.add([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.5)(x)), name="resnet")


def two_towers() -> keras.Model:
    embed = layers.Embedding(1000, 16, mask_zero=True, name="embed")
    query, item = keras.Input((None,), dtype="int32", name="query"), keras.Input((None,), dtype="int32", name="item")
    left, right = (layers.GlobalAveragePooling1D(name=f"mean_{side.name}")(embed(side)) for side in (query, item))
    score = layers.Dot(1)([left, right]) / 8.0
    return keras.Model({"query": query, "item": item}, {"score": keras.ops.sigmoid(score)}, name="two_towers")


def mixer() -> keras.Model:
    x = inputs = keras.Input((20, 32), name="tokens")
    for _ in range(2):
        x = x + keras.ops.swapaxes(layers.Dense(20)(keras.ops.swapaxes(layers.LayerNormalization()(x), 1, 2)), 1, 2)
        x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, activation="gelu")(x)))
    return keras.Model(inputs, x[:, 0], name="mixer")


def main() -> None:
    for model in (resnet(), two_towers(), mixer()):
        model.summary()
        text = model.to_json()
        print(text)
        print(keras.models.model_from_json(text).to_json() == text)
    model = resnet()
    wider = model.edit(edit.swap_activation("relu", "gelu"), edit.insert_before("dense", layers.Dropout(0.2)))
    print(model.diff(wider))
    try:
        layers.Dense(3)(layers.Flatten()(keras.Input((None, 3))))
    except ValueError as error:
        print(error)
    print({"torch", "numpy"} & {*sys.modules} or "neither torch nor numpy was imported")


if __name__ == "__main__":
    main()
