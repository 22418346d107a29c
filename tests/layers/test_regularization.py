"""Dropout, noise and penalties: what they draw, that seeds repeat it, and that losses are real Keras's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError

ONES = np.ones((64, 10, 12, 8), "float32")
RANDOM = [
    ("Dropout", {"rate": 0.3}),
    ("Dropout", {"rate": 0.3, "noise_shape": (None, 1, 12, 8)}),
    ("SpatialDropout2D", {"rate": 0.3}),
    ("GaussianNoise", {"stddev": 0.3}),
    ("GaussianDropout", {"rate": 0.3}),
]


def alone(layer: Any, shape: tuple[Any, ...] = (10, 12, 8)) -> ab.Model:
    x = ab.Input(shape)
    return ab.Model(x, layer(x))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("name", "config"), RANDOM)
def test_moments(name: str, config: dict[str, Any], seed: int | None) -> None:
    ab.utils.set_random_seed(0)  # of draws of layers without a seed too
    model = alone(getattr(layers, name)(**config, seed=seed), (None, 12, None))
    assert model(ONES, training=False).tolist() == ONES.tolist()
    found = model(ONES, training=True)
    assert found.mean().item() == pytest.approx(1.0, abs=0.05)
    spread = 0.3 if name == "GaussianNoise" else (0.3 / 0.7) ** 0.5
    assert found.std().item() == pytest.approx(spread, abs=0.05)
    if "Gaussian" not in name:
        assert sorted({round(value, 5) for value in found.flatten().tolist()}) == [0.0, round(1 / 0.7, 5)]


@pytest.mark.parametrize(("name", "config"), RANDOM)
def test_a_seed_repeats_the_run_in_every_way(name: str, config: dict[str, Any]) -> None:
    def draws(way: str, seed: int) -> torch.Tensor:
        layer = getattr(layers, name)(**config, seed=seed)
        model = alone(layer)
        module = model.to_torch().train()
        ways = {
            "layer": lambda: layer(ONES, training=True),
            "model": lambda: model(ONES, training=True),
            "module": lambda: module(on_device(ONES)),
        }
        return torch.stack([ways[way](), ways[way]()])

    first = draws("layer", 3)
    assert not equal(first[0], first[1])
    for way in ("layer", "model", "module"):
        assert equal(draws(way, 3), first), way
        assert not equal(draws(way, 4), first), way


def test_layers_of_one_seed_draw_alike_and_are_independent_of_others() -> None:
    a, b = layers.Dropout(0.5, seed=1), layers.Dropout(0.5, seed=1)
    torch.rand(3)
    assert equal(a(ONES, training=True), b(ONES, training=True))


def test_a_module_with_its_own_generator_can_be_copied() -> None:
    module = alone(layers.Dropout(0.5, seed=1)).to_torch().train()
    assert "anabranch" not in module.code
    again = copy.deepcopy(module)
    x = on_device(ONES)
    assert equal(module(x), again(x))


@pytest.mark.parametrize(
    ("name", "shape", "config", "shared"),
    [
        ("SpatialDropout1D", (20, 6, 30), {}, (1,)),
        ("SpatialDropout2D", (20, 5, 6, 30), {}, (1, 2)),
        ("SpatialDropout2D", (20, 30, 5, 6), {"data_format": "channels_first"}, (2, 3)),
        ("SpatialDropout3D", (20, 3, 4, 5, 30), {}, (1, 2, 3)),
        ("SpatialDropout3D", (20, 30, 3, 4, 5), {"data_format": "channels_first"}, (2, 3, 4)),
        ("Dropout", (20, 6, 30), {"noise_shape": (None, 1, 30)}, (1,)),
        ("Dropout", (20, 6, 30), {"noise_shape": (1, None, None)}, (0,)),
    ],
)
def test_what_shares_its_fate(name: str, shape: tuple[int, ...], config: dict[str, Any], shared: tuple[int, ...]) -> None:
    model = alone(getattr(layers, name)(0.5, **config), shape[1:])
    found = model(np.ones(shape, "float32"), training=True)
    assert equal(found.amin(shared), found.amax(shared))
    assert 0.3 < (found == 0).float().mean().item() < 0.7
    assert found.dim() == len(shape)


def test_rates_at_the_ends() -> None:
    for seed in (None, 1):
        assert layers.Dropout(0, seed=seed)(ONES, training=True).tolist() == ONES.tolist()
        assert not layers.Dropout(1.0, seed=seed)(ONES, training=True).any()
        assert not alone(layers.Dropout(1.0, seed=seed))(ONES, training=True).any()


def test_gradients_go_where_numbers_went() -> None:
    x = torch.tensor(ONES, requires_grad=True)
    found = layers.Dropout(0.4, seed=1)(x, training=True)
    (gradient,) = torch.autograd.grad(found.sum(), [x])
    assert equal(gradient, found.detach())


def inside(lib: Any, branches: bool) -> Any:
    """Return a layer with a layer inside; one that ``branches`` on numbers cannot be traced."""

    class Inside(lib.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="inside", activity_regularizer=lib.regularizers.L2(0.02))
            self.dense = lib.layers.Dense(4, activity_regularizer=None if branches else lib.regularizers.L1(0.03))

        def build(self, input_shape: Any) -> None:
            self.dense.build(input_shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.dense(x) if not branches or x.sum() > -1e9 else x

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (*input_shape[:-1], 4)

    return Inside()


@pytest.mark.parametrize("how", ["layer", "argument", "nested", "inside", "inside and branching"])
def test_penalties_of_activity_are_keras_losses(keras: Any, how: str) -> None:
    def build(lib: Any) -> Any:
        x = lib.Input((5,))
        if how == "layer":
            h = lib.layers.ActivityRegularization(l1=0.02, l2=0.03)(lib.layers.Dense(4, name="d")(x))
        elif how == "argument":
            h = lib.layers.Dense(4, activity_regularizer=lib.regularizers.L2(0.03), name="d")(x)
        elif "inside" in how:
            h = inside(lib, "branching" in how)(x)
        else:
            inner = lib.Input((5,))
            part = lib.Model(inner, lib.layers.Dense(4, activity_regularizer="l1", name="d")(inner))
            h = part(x)
            h = lib.layers.Add()([h, part(lib.layers.Activation("tanh")(x))])
        model = lib.Model(x, lib.layers.Dense(2)(h))
        model.compile(optimizer=lib.optimizers.SGD(0.1), loss="mse")
        return model

    ours, theirs = build(ab), build(keras)
    theirs.set_weights(ours.get_weights())
    rng = np.random.default_rng(0)
    for size in (6, 3):  # the penalty is divided by the batch's size
        x, y = rng.normal(size=(size, 5)).astype("float32"), rng.normal(size=(size, 2)).astype("float32")
        assert ours.test_on_batch(x, y) == pytest.approx(theirs.test_on_batch(x, y), rel=1e-5)
        ours.train_on_batch(x, y)
        theirs.train_on_batch(x, y)
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_mistakes() -> None:
    for call in (
        lambda: layers.Dropout(-0.1),
        lambda: layers.Dropout(1.5),
        lambda: layers.Dropout("half"),
        lambda: layers.Dropout(True),
        lambda: layers.GaussianDropout(1.0),
        lambda: layers.GaussianNoise(-1.0),
        lambda: layers.ActivityRegularization(l1=-0.1),
        lambda: layers.SpatialDropout2D(0.5, data_format="NHWC"),
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError)):
            call()
    with pytest.raises(ShapeError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(None, 2))(ab.Input((3,)))
    with pytest.raises(ShapeError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(1,))(ab.Input((3,)))
    with pytest.raises(ShapeError):
        layers.SpatialDropout2D(0.5)(ab.Input((3, 4)))
