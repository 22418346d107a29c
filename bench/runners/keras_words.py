"""Anabranch and Keras: fit, predict, a call, the table, and a chain of layers, in the words that both share."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from nets.keras_words import NETS
from works import NETS as FED, Case, data


def library(variant: str, device: str) -> Any:
    """Return anabranch or keras."""
    if variant == "keras" and os.environ["KERAS_BACKEND"] == "torch":
        os.environ["KERAS_TORCH_DEVICE"] = device
    keras = importlib.import_module(variant)
    if variant == "anabranch":
        keras.config.set_device(device)
    return keras


def optimizer(keras: Any, name: str) -> Any:
    """Return the network's optimizer."""
    net = FED[name]
    if net.optimizer == "sgd":
        return keras.optimizers.SGD(net.rate, momentum=0.9)
    return {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}[net.optimizer](net.rate)


def size(model: Any) -> int:
    """Return how many numbers are trained."""
    return sum(math.prod(int(extent) for extent in weight.shape) for weight in model.trainable_weights)


def train(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and one epoch of ``fit``."""
    keras, net, case = library(variant, device), FED[name], cases["fit"]
    model = NETS[name](keras)
    if net.loss == "pairs":
        loss, metric = keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.BinaryAccuracy(threshold=0.0)
    else:
        loss, metric = keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
    model.compile(optimizer=optimizer(keras, name), loss=loss, metrics=[metric])
    x, y = data(name, case.amount)
    return size(model), {"fit": lambda: model.fit(x, y, batch_size=case.batch, epochs=1, verbose=0)}


def infer(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and the passes: ``predict``, and ``model(x)`` of one example."""
    keras = library(variant, device)
    model = NETS[name](keras)
    x, _ = data(name, max(case.amount for case in cases.values()))
    passes: dict[str, Callable[[], Any]] = {}
    for case, (amount, batch) in {key: (case.amount, case.batch) for key, case in cases.items()}.items():
        if batch > 1:
            part = [array[:amount] for array in x]
            passes[case] = lambda part=part, batch=batch: model.predict(part, batch_size=batch, verbose=0)
    one = [array[:1] for array in x]
    single = one if len(one) > 1 else one[0]
    quiet: Any = contextlib.nullcontext
    if variant == "anabranch" or keras.backend.backend() == "torch":
        import torch

        quiet = torch.no_grad

    def predict() -> None:
        for _ in range(cases["predict 1"].amount):
            model.predict(single, verbose=0)

    def call() -> None:
        with quiet():
            for _ in range(cases["call 1"].amount):
                keras.ops.convert_to_numpy(model(single, training=False))

    passes |= {"predict 1": predict, "call 1": call}
    if variant == "anabranch":
        model.predict(single, verbose=0)
        module, tensors = model.to_torch().eval(), [torch.from_numpy(array).to(device) for array in one]

        def plain() -> None:
            with quiet():
                for _ in range(cases["module 1"].amount):
                    module(*tensors).cpu().numpy()

        passes["module 1"] = plain
    return size(model), passes


def table(name: str, variant: str) -> None:
    """Print the network's summary."""
    NETS[name](importlib.import_module(variant)).summary()


def build(depth: int, variant: str) -> dict[str, float]:
    """Return seconds for each stage of a residual chain: Dense and Add in turn; those after ``Model`` for anabranch alone."""
    keras = importlib.import_module(variant)
    layers = keras.layers
    if variant == "keras":
        sys.setrecursionlimit(10**6)  # by Python's own limit it ends before 10,000 layers
    start = time.perf_counter()
    x = inputs = keras.Input((8,))
    for _ in range(depth // 2):
        x = layers.Add()([x, layers.Dense(8)(x)])
    model = keras.Model(inputs, x)
    marks = {"build": time.perf_counter() - start}
    if variant == "anabranch":
        marks |= later(model)
    return marks


def later(model: Any) -> dict[str, float]:
    """Return seconds for what comes after building."""
    import numpy as np
    import torch

    from anabranch import engine, insight

    rows = np.ones((4, 8), "float32")
    stages: dict[str, Callable[[], Any]] = {
        "summary": lambda: insight.summarise(model).text(),
        "lower": lambda: engine.program(model, False),
        "first call": lambda: model(rows),
        "later call": lambda: model(rows),
    }
    found = {}
    with torch.no_grad():
        for stage, function in stages.items():
            start = time.perf_counter()
            function()
            found[stage] = time.perf_counter() - start
    return found
