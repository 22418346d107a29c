"""The demonstration: the seed's toy ResNet, its table, its training, its test accuracy."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import anabranch as keras
from anabranch import datasets
from anabranch._errors import DownloadError

SECONDS = 180


def toy_resnet(library: Any = keras) -> Any:
    """Return the toy ResNet for CIFAR-10: 223,242 parameters, two residual joins; ``library`` has Keras's words."""
    layers = library.layers
    inputs = library.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    for _ in range(2):
        y = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        x = layers.add([layers.Conv2D(64, 3, activation="relu", padding="same")(y), x])
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return library.Model(inputs, layers.Dense(10)(x), name="toy_resnet")


def load() -> Any:
    """Return CIFAR-10; drawn shapes where it is neither there nor to be had."""
    try:
        return datasets.cifar10.load_data()
    except DownloadError as error:
        print(f"CIFAR-10 is not downloaded ({error.fact}) Training on drawn shapes instead; docs/data.md says how to get it.")
        return datasets.shapes.load_data()


def train_for(seconds: float, model: keras.Model, x: Any, y: Any) -> None:
    """Train as many epochs as fit into the time, by the time of the first one; at least one, at most ten."""
    start = time.perf_counter()
    model.fit(x, y, batch_size=64, epochs=1)
    epochs = min(round(seconds / (time.perf_counter() - start)), 10)
    if epochs > 1:
        model.fit(x, y, batch_size=64, epochs=epochs, initial_epoch=1)


def main(arguments: list[str]) -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="anabranch demo", description=__doc__)
    parser.add_argument("--epochs", type=int, help="as many as take about three minutes, unless you say how many")
    parser.add_argument("--limit", type=int, help="train on so many images only")
    options = parser.parse_args(arguments)
    model = toy_resnet()
    model.summary()
    (x_train, y_train), (x_test, y_test) = load()
    x_train, y_train = x_train[: options.limit], y_train[: options.limit]
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    print(f"Training on {len(x_train):,} images with {os.cpu_count()} cores.")
    x_train = x_train.astype("float32") / 255
    start = time.perf_counter()
    if options.epochs:
        model.fit(x_train, y_train, batch_size=64, epochs=options.epochs)
    else:
        train_for(SECONDS, model, x_train, y_train)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(x_test.astype("float32") / 255, y_test, batch_size=256, verbose=0)
    steps = -(-len(x_train) // 64)
    epochs = model.optimizer.iterations // steps
    print(f"Test accuracy after {epochs} epoch{'s' if epochs > 1 else ''}: {accuracy:.1%} ({seconds:.0f} s of training).")
    return 0
