"""Models with much to rewrite, and holding rewritten code to the traced one: results, gradients, state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, on_device
from random_graphs import build, sketch_of

from anabranch import Input, Model, config, engine, layers, ops, runtime, utils
from anabranch.config import precision
from anabranch.engine import passes
from anabranch.engine.lower import lower
from anabranch.engine.programs import Variant

BATCH = 3


def chain(shape: tuple[int | None, ...], *steps: Any) -> Model:
    """Return the model that runs layers one after the other."""
    x = inputs = Input(shape)
    for step in steps:
        x = step(x)
    return Model(inputs, x)


def drawn(model: Model, batch: int = BATCH) -> list[torch.Tensor]:
    """Return data for a model, and draw all its weights, statistics too."""
    utils.set_random_seed(1)
    for weight in model.weights:
        values = np.random.default_rng(len(weight.path)).normal(0.1, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    made = {True: lambda shape: torch.randint(0, 7, shape), False: torch.randn}
    return [made["int" in tensor.dtype]((batch, *tensor.shape[1:])).to(here()) for tensor in model.inputs]


def random_model(number: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, list[torch.Tensor]]:
    """Return the random graph of a number, of its own default type until the test ends, and data for it."""
    sketch = sketch_of(4 + number % 17, number)
    monkeypatch.setattr(precision, "_plain_policy", config.DTypePolicy(sketch.floatx))
    utils.set_random_seed(0)
    model = build(sketch).model
    specs = [(tensor.shape[1:], getattr(torch, tensor.dtype)) for tensor in model.inputs]
    return model, [(2 * torch.rand(BATCH, *(size or 4 for size in shape))).to(dtype) for shape, dtype in specs]


def residual() -> Model:
    inputs = Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.add([y, x]))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="gelu")(x)
    return Model(inputs, layers.Dense(4, activation="tanh")(layers.GlobalAveragePooling2D()(x)))


def doubled() -> Model:
    inputs = Input((5,))
    shared = layers.Dense(4, activation="sigmoid")
    return Model(inputs, [shared(inputs) + shared(inputs), shared(inputs) * 1])


def dense_after() -> Model:
    return chain((6,), layers.Dense(5, use_bias=False), layers.BatchNormalization(scale=False), layers.ELU(), layers.Dense(3))


def transposed() -> Model:
    norm = layers.BatchNormalization
    return chain((5, 5, 2), layers.Conv2DTranspose(4, 3, strides=2), norm(), layers.LeakyReLU(), layers.Conv2D(2, 1), norm())


def channels_first() -> Model:
    conv = layers.Conv2D(4, 3, padding="same", data_format="channels_first", activation="silu")
    return chain((2, 6, 6), conv, layers.Permute((2, 3, 1)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten())


def branching() -> Model:
    inputs = Input((6, 6, 2))
    a = layers.Conv2D(3, 1, activation="relu")(inputs)
    b = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(inputs)
    joined = layers.Concatenate()([a, layers.Conv2D(3, 1)(b)])
    gate = layers.Conv2D(6, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(joined))
    x = layers.Dropout(0.0)(layers.Multiply()([joined, gate]))
    return Model(
        inputs, {"pooled": layers.MaxPooling2D(2)(x), "mean": ops.mean(x, axis=(1, 2)), "whole": ops.relu(x - a[..., :1])}
    )


def along_time() -> Model:
    norm = layers.BatchNormalization
    return chain((9, 4), layers.Conv1D(5, 3), norm(), layers.ReLU(), layers.SeparableConv1D(4, 3), layers.Conv1D(2, 1), norm())


def in_space() -> Model:
    return chain((4, 4, 4, 2), layers.Conv3D(3, 2), layers.BatchNormalization(), layers.ReLU(6.0), layers.Conv3D(2, 1))


def looked_up() -> Model:
    first, second = Input((4,), dtype="int32"), Input((2, 3), dtype="int64")
    table = layers.Embedding(7, 5)
    x = layers.GlobalAveragePooling1D()(table(first))
    return Model([first, second], [layers.Dense(3)(x), layers.Flatten()(table(second)) * 2.0])


MODELS: list[Callable[[], Model]] = [
    residual, doubled, dense_after, transposed, channels_first, branching, along_time, in_space, looked_up,
]  # fmt: skip


def all_settings(training: bool) -> list[passes.Settings]:
    if training:
        return [passes.Settings(True)]
    constant = passes.Settings(False, no_grad=True)
    return [passes.Settings(False), constant, constant._replace(single=True), constant._replace(single=True, heavy=True)]


def results(run: Callable[..., Any], inputs: list[torch.Tensor], model: Model, settings: passes.Settings) -> list[torch.Tensor]:
    """Return outputs, gradients of inputs and weights where they are asked for, and the weights' state after."""
    before = model.get_weights()
    given = [x.clone().requires_grad_(x.is_floating_point() and not settings.no_grad) for x in inputs]
    with torch.set_grad_enabled(not settings.no_grad):
        values = list(run(given))
    found = [value.detach().clone() for value in values]
    if not settings.no_grad:
        learning = [w.value for w in model.trainable_weights] + [x for x in given if x.requires_grad]
        sums = [value.double().square().sum() for value in values if value.requires_grad]
        if sums and learning:
            gradients = torch.autograd.grad(sum(sums), learning, allow_unused=True)
            found += [torch.zeros(()) if gradient is None else gradient for gradient in gradients]
    found += [torch.as_tensor(weight) for weight in model.get_weights()]
    model.set_weights(before)
    return found


def unchanged(
    model: Model,
    inputs: list[torch.Tensor],
    settings: passes.Settings,
    chosen: tuple[passes.Pass, ...],
    tolerance: float = 2e-5,
) -> None:
    """Hold the rewritten code to the traced one."""
    engine.place_weights(model)
    inputs = [on_device(x) for x in inputs]
    lowered = lower(model.graph, training=settings.training)
    traced = lowered.module()
    states = runtime.random_states()
    expected = results(lambda given: traced(*given), inputs, model, settings)
    variant = Variant(lowered, settings, chosen)
    runtime.set_random_states(states)
    found = results(variant, inputs, model, settings)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        scale = max(1.0, float(b.double().abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, atol=tolerance * scale, rtol=tolerance, equal_nan=True)
