"""A step of training launches what its network takes, and a few operations for all weights, statistics and metrics together."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from step_operations import Counting, listed, operations

import anabranch as ab
from anabranch import layers, optimizers, regularizers

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from nets.keras_words import toy_resnet

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.on_cpu  # on which operations are counted as a GPU would launch them

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(12, 32, 32, 3)).astype("float32"), RNG.integers(0, 10, (12, 1))


def resnet_20() -> tuple[Any, Any]:
    model = runpy.run_path(str(ROOT / "examples" / "resnet_cifar.py"))["resnet"](20)
    loss = ab.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    return model, LABELS


def toy() -> tuple[Any, Any]:
    model = toy_resnet(ab)
    model.compile(optimizers.RMSprop(1e-3), ab.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
    return model, LABELS


def airbench() -> tuple[Any, Any]:
    model = runpy.run_path(str(ROOT / "examples" / "airbench.py"))["network"](torch.from_numpy(IMAGES), (8, 8, 8))
    rule = optimizers.SGD(0.1, momentum=0.85, nesterov=True, weight_decay=0.01, use_ema=True)
    model.compile(rule, ab.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), metrics=["accuracy"])
    return model, np.eye(10, dtype="float32")[LABELS[:, 0]]


@pytest.mark.parametrize(
    ("make", "most"),
    [
        # convolutions, normalizations, ReLUs and their gradients are six times 19; penalties, statistics and the update 13
        (resnet_20, 189),
        (toy, 68),
        (airbench, 109),  # 28 of them multiply the biases of a layer of the example's own
    ],
)
def test_a_step_is_so_many_operations(make: Any, most: int) -> None:
    model, labels = make()
    kinds = operations(model, IMAGES[:6], labels[:6], batch_size=1)  # the kernels of a GPU are interpreted here
    assert kinds.total() <= most, listed(kinds)


def deep(depth: int, penalty: Any) -> Any:
    x = inputs = ab.Input((4,))
    for _ in range(depth):
        x = layers.BatchNormalization()(layers.Dense(4, kernel_regularizer=penalty, bias_regularizer=penalty)(x))
    model = ab.Model(inputs, layers.Dense(2)(x))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("penalty", [regularizers.L2(0.1), regularizers.L1(0.1), regularizers.L1L2(0.1, 0.2)])
def test_more_weights_take_no_more_operations_for_penalties_and_statistics(penalty: Any) -> None:
    x, y = IMAGES[:, 0, 0, :1].repeat(4, 1), IMAGES[:, 0, 0, :2]
    grown = [operations(deep(depth, penalty), x, y) - operations(deep(depth, None), x, y) for depth in (1, 6)]
    assert grown[0].total() == grown[1].total() <= 14, "\n".join(map(listed, grown))
    kinds = operations(deep(6, penalty), x, y)
    assert kinds["_foreach_lerp_.Scalar"] == 2, listed(kinds)
    assert "lerp_.Scalar" not in kinds, listed(kinds)


def scaled_step(count: int, monkeypatch: pytest.MonkeyPatch, factor: float) -> tuple[Any, Any]:
    """Return what one step of a scaling optimizer, chosen as on a GPU, takes for so many weights; and the weights."""
    monkeypatch.setattr(optimizers.LossScaleOptimizer, "_chosen_on_host", lambda self: False)
    convolutions = [layers.Conv2D(3, 2, kernel_initializer="ones", dtype="float64" if n % 3 else None) for n in range(count)]
    for layer in convolutions:
        layer.build((None, 4, 4, 2))
    weights = [weight for layer in convolutions for weight in layer.weights]
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1, momentum=0.9), initial_scale=4.0)
    optimizer.build(weights)
    for step_factor in (1.0, factor):  # the first one makes state
        optimizer.zero_grad()
        optimizer.scale_loss(sum(weight.value.float().sum() for weight in weights) * step_factor).backward()
        with Counting() as counting:
            optimizer.step()
    return counting.kinds, [weight.numpy() for weight in weights]


@pytest.mark.parametrize(("factor", "moved"), [(2.0, 0.39), (float("inf"), 0.1), (float("nan"), 0.1)])
def test_a_step_that_may_overflow_is_chosen_for_all_weights_at_once(
    factor: float, moved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (scaled_step(count, monkeypatch, factor) for count in (3, 30))
    assert few[0] == many[0], listed(many[0] - few[0])
    for value in many[1]:
        np.testing.assert_allclose(value, (1.0 if value.ndim == 4 else 0.0) - moved, rtol=1e-6)
