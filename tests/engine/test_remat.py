"""Layers recomputed in backward: the same numbers, fewer of them saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device
from rewriting import MODELS, chain, drawn, random_model, unchanged

import anabranch as ab
from anabranch import Input, Model, engine, layers, ops, utils
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.engine import passes


def blocks(count: int = 8, dropout: float = 0.2) -> Model:
    """Return residual blocks, each a nested model."""
    utils.set_random_seed(2)
    x = inputs = Input((8, 8, 8))
    for number in range(count):
        inner = y = Input((8, 8, 8))
        for _ in range(2):
            y = layers.Conv2D(8, 3, padding="same", activation="relu")(y)
            y = layers.BatchNormalization()(y)
        y = layers.Dropout(dropout)(y)
        x = Model(inner, layers.add([inner, y]), name=f"block{number}")(x)
    return Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def data(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 8, 8, 8)).astype("float32"), rng.integers(0, 3, (count, 1))


def trained(model: Model, **options: Any) -> tuple[list[float], list[np.ndarray]]:
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    utils.set_random_seed(4)
    return model.fit(*data(), batch_size=4, epochs=2, verbose=0).history["loss"], model.get_weights()


def saved_bytes(model: Model, batch: int = 4) -> int:
    """Return the bytes of tensors that are saved for gradients, weights and the batch left out."""
    program = engine.program(model, True, remat=model.remat)
    x = [on_device(data(batch)[0])]
    given = {tensor.data_ptr() for tensor in (*x, *(weight.value for weight in model.weights))}
    found: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in given:
            found[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs, _ = program(x)
    assert outputs[0].requires_grad
    return sum(found.values())


@pytest.mark.parametrize("remat", ["block*", ["block1", "block[4-6]"], "block*/conv2d*", "150KB", 200_000], ids=str)
def test_training_gives_the_same_numbers(remat: Any) -> None:
    plain, again = trained(blocks()), trained(blocks(), remat=remat)
    np.testing.assert_allclose(again[0], plain[0], rtol=1e-5)
    for a, b in zip(again[1], plain[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in MODELS])
def test_all_layers_at_once(make: Any) -> None:
    model = make()
    unchanged(model, drawn(model), passes.Settings(True, remat=("*",)), passes.PASSES)


@pytest.mark.parametrize("number", range(40))
def test_random_graphs_stay_what_they_are(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = random_model(3000 + number, monkeypatch)
    unchanged(model, inputs, passes.Settings(True, remat=("*",)), passes.PASSES)


def test_much_less_is_saved() -> None:
    model = blocks(12)
    model.compile("sgd", "mse")
    plain = saved_bytes(model)
    model.compile("sgd", "mse", remat="block*")
    assert saved_bytes(model) < plain / 3


def inner_values() -> Model:
    """Return layers that keep values of their own: before an activation, in a lambda, in attention."""
    x = inputs = Input((8, 8, 8))
    for _ in range(6):
        y = layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x))
        y = layers.Lambda(lambda t: ops.softmax(ops.square(t) + ops.exp(-t)))(y)
        x = layers.add([x, layers.Dense(8, activation="silu")(y)])
    return Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("make", [pytest.param(lambda: blocks(12), id="blocks"), pytest.param(inner_values, id="inner values")])
def test_a_budget_is_met(make: Callable[[], Model]) -> None:
    model = make()
    model.compile("sgd", "mse")
    plain = saved_bytes(model)
    for part in (0.75, 0.5, 0.4):
        model.compile("sgd", "mse", remat=int(part * plain))
        assert saved_bytes(model) <= part * plain
    model.compile("sgd", "mse", remat=plain)
    assert saved_bytes(model) == plain
    model.compile("sgd", "mse", remat=plain - 1)
    assert saved_bytes(model) < plain, "what is saved was counted to the byte"


def test_a_budget_for_layers_that_look_at_numbers_is_refused() -> None:
    class Looking(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x

    model = chain((8, 8, 8), layers.Dense(3), Looking(), layers.GlobalAveragePooling2D())
    with pytest.raises(ArgumentError, match="look at values"):
        trained(model, remat="1GB")
    assert trained(model, remat=["dense"])


def test_layers_that_cannot_be_recomputed_are_reported() -> None:
    class Whole(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x

    x = inputs = Input((4,))
    for layer in (layers.Dense(4, name="dense"), Whole(name="whole")):
        x = layer(x)
    model = Model(inputs, layers.ReLU(name="relu")(layers.Dense(4, name="last")(x)))
    model.compile("sgd", "mse", remat="*")
    explained = model.explain_execution(training=True)
    report = explained["remat"]
    assert {note.path: note.text for note in report.refused} == {
        "dense": "alone it saves no more than it takes",
        "whole": "it is a module that cannot be looked into",
    }
    assert [note.path for note in report.done] == ["last"]
    main, segment = explained.code.split("# segments.s0")
    assert (main.count("linear("), segment.count("linear("), segment.count("relu_(")) == (1, 1, 1)


@pytest.mark.slow
@pytest.mark.not_fake("torch's compiler has no code for it")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns about itself
def test_compiled_by_torch() -> None:
    model, found = blocks(3, dropout=0.0), []
    weights = model.get_weights()
    for options in ({}, {"remat": "block*"}):
        model.set_weights(weights)
        found.append(trained(model, jit_compile=True, **options))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)


def test_moving_statistics_move_once() -> None:
    inputs = Input((4,))
    x = layers.BatchNormalization(name="norm", momentum=0.5)(layers.Dense(4, name="dense")(inputs))
    model = Model(inputs, layers.Dense(1)(layers.ReLU()(x)))
    model.compile(ab.optimizers.SGD(0.0), "mse", remat=["dense", "norm", "re_lu"])
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    before = model.get_layer("norm").moving_mean.numpy()
    model.train_on_batch(x, np.ones((8, 1)))
    batch = model.get_layer("dense")(x).detach().cpu().numpy().mean(0)
    np.testing.assert_allclose(model.get_layer("norm").moving_mean.numpy(), 0.5 * before + 0.5 * batch, rtol=1e-5, atol=1e-6)


class Scaled(layers.Layer):
    """Divides by a state that it changes: ``first`` before it is read, or after; never the state itself is saved."""

    def __init__(self, first: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = first

    def build(self, input_shape: Any) -> None:
        self.spread = self.add_weight(shape=(), initializer="ones", trainable=False, name="spread")

    def call(self, x: Any) -> Any:
        x = ops.relu(x)
        if self.first:
            self.spread.assign_add(1.0)
        y = ops.square(x) * (self.spread * 2.0)
        if not self.first:
            self.spread.assign_add(1.0)
        return y


@pytest.mark.parametrize("first", [True, False])
def test_state_is_read_before_or_after_it_changes_as_written(first: bool) -> None:
    model = chain((4,), layers.Dense(4), Scaled(first), layers.Dense(2))
    unchanged(model, drawn(model), passes.Settings(True, remat=("*",)), passes.PASSES)


def test_what_is_recomputed_is_reported() -> None:
    model = blocks(3)
    model.compile("sgd", "mse", remat="block[01]")
    done = model.explain_execution(training=True)["remat"].done
    assert [note.text.partition(" operations ")[2] for note in done] == [
        f"of block{n}/conv2d to block{n}/add are recomputed" for n in (0, 1)
    ]


@pytest.mark.parametrize(
    ("remat", "message"),
    [("bock*", "block0"), (["block0", "nothing"], "nothing"), ("1B", "at least 0"), (-5, "positive"), (3j, "patterns")],
    ids=str,
)
def test_mistakes(remat: Any, message: str) -> None:
    model = blocks(3)
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        trained(model, remat=remat)
