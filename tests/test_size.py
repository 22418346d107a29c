"""Deep chains, wide fans, many inputs, many repetitions: walks are iterative, work per layer constant, nothing left behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from counting import calls
from devices import on_device

from anabranch import Input, Model, edit, engine, layers
from anabranch.insight import summarise

ONES = np.ones((2, 4), "float32")


def chain(depth: int) -> Model:
    """Return a row of residual blocks, two layers each, that gives what it takes."""
    x = start = Input((4,))
    for _ in range(depth // 2):
        x = layers.Add()([x, layers.Dense(4, kernel_initializer="zeros")(x)])
    return Model(start, x)


def fan(width: int) -> Model:
    """Return ``width`` branches side by side."""
    x = Input((4,))
    return Model(x, layers.Concatenate()([layers.Dense(1)(x) for _ in range(width)]))


def gathered(count: int) -> Model:
    """Return a model of ``count`` inputs."""
    sources = [Input((1,)) for _ in range(count)]
    return Model(sources, layers.Concatenate()(sources))


def operators(depth: int) -> Model:
    """Return a row of Python's operators."""
    x = start = Input((4,))
    for _ in range(depth):
        x = x + 1.0
    return Model(start, x)


def test_a_chain_of_ten_thousand_layers() -> None:
    model = chain(10_000)
    assert len(model.layers) == 10_001
    found = summarise(model)
    assert len(found.rows) == 10_001
    assert found.rows[-1].connected_to == ["add_4998[0][0]", "dense_4999[0][0]"]
    assert found.total == 5_000 * 20
    assert found.text().count("\n") == 15_001 + 8
    assert np.array_equal(model(ONES).detach().cpu().numpy(), ONES)
    outputs, _ = engine.program(model, True)([on_device(ONES)])
    outputs[0].sum().backward()
    assert model.weights[0].value.grad is not None


def test_a_hundred_thousand_nodes_are_built_edited_and_compared() -> None:
    model = operators(100_000)
    assert model.tap("add_99998").output_shape == (None, 4)
    new = model.edit(edit.insert_after("add_500", layers.ReLU(name="middle")), edit.remove("add_501"))
    diff = model.diff(new)
    assert (diff.of("added"), diff.of("removed"), diff.of("inputs")) == (["middle"], ["add_501"], ["add_502"])


def test_a_fan_of_ten_thousand_branches() -> None:
    model = fan(10_000)
    assert model.output_shape == (None, 10_000)
    assert len(model.edit(edit.rename("dense_77", "other")).layers) == 10_002
    assert model(ONES).shape == (2, 10_000)


def test_a_thousand_inputs() -> None:
    model = gathered(1_000)
    values = [np.full((2, 1), number, "float32") for number in range(1_000)]
    assert model.predict(values, verbose=0)[1].tolist() == list(range(1_000))
    named = dict(zip(model.input_names, values, strict=True))
    assert model.predict(dict(reversed(named.items())), verbose=0)[0].tolist() == list(range(1_000))


@pytest.mark.slow
def test_a_hundred_thousand_layers_are_lowered_and_run() -> None:
    assert np.array_equal(chain(100_000)(ONES).detach().cpu().numpy(), ONES)


# Work


def describe(model: Model) -> None:
    summarise(model).text()
    model.select(layers.Dense)


def change(model: Model) -> None:
    new = model.edit(
        edit.replace(layers.Dense, lambda old: old), edit.insert_after(layers.Dense, layers.ReLU()), weights="copied"
    )
    assert not model.diff(new.edit(edit.remove(layers.ReLU)))


def reach(model: Model) -> None:
    tapped = model.tap(layers.Layer)
    assert len(Model(model.inputs, tapped.outputs).outputs) == len(tapped.outputs)


def run(model: Model) -> None:
    engine.program(model, False)


@pytest.mark.parametrize("make", [chain, fan, gathered, operators], ids=lambda make: make.__name__)
@pytest.mark.parametrize("use", [describe, change, reach, run], ids=lambda use: use.__name__)
def test_work_grows_as_size_does(make: Any, use: Any) -> None:
    if use is change and make in (gathered, operators):
        use = lambda model: model.edit(edit.rename(model.layers[0], "first"))  # noqa: E731 - there is no Dense to change
    use(make(20))
    small, large = (calls(lambda size=size: use(make(size))) for size in (100, 400))
    assert large < 4.4 * small


OBJECTS = [
    ("layers.Dense(4)(x)", 13),
    ("layers.Activation('relu')(x)", 10),
    ("layers.Add()([x, x])", 12),
    ("x + 1.0", 9),
]


@pytest.mark.parametrize(("made", "most"), OBJECTS, ids=["dense", "activation", "add", "operator"])
def test_a_layer_is_few_objects(made: str, most: int) -> None:
    # Python walks all objects that could hold others again and again while a large model grows. A process of its own,
    # since how Python keeps the attributes of a class depends on all the instances it has had.
    script = f"""
import gc
from anabranch import Input, layers

x = Input((4,))
{made}
gc.collect()
before = len(gc.get_objects())
alive = [{made} for _ in range(200)]
gc.collect()
print(len(gc.get_objects()) - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 200 < int(done.stdout) <= 200 * most + 60


# What is left behind


def network() -> Model:
    x = Input((4,))
    inner_x = Input((4,))
    inner = Model(inner_x, layers.BatchNormalization()(layers.Dense(4)(inner_x)), name="inner")
    return Model(x, layers.Lambda(lambda t: torch.tanh(t) * 2)(inner(x)))


@pytest.mark.parametrize("use", ["describe", "run", "train", "edit"])
def test_a_dropped_model_is_gone(use: str) -> None:
    model = network()
    if use == "run":
        model.predict(ONES, verbose=0)
    if use == "train":
        model.compile("adam", "mse")
        model.fit(ONES, ONES, verbose=0)
    if use == "edit":
        model.tap("inner/dense").predict(ONES, verbose=0)
        model.edit(edit.remove("inner/batch_normalization"), weights="copied").predict(ONES, verbose=0)
    gone = [
        weakref.ref(thing)
        for thing in (model, model.output.node, model["inner"], model["inner/dense"], model["inner/dense"].kernel)
    ]
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_calls_of_a_long_lived_backbone_leave_nothing() -> None:
    x = Input((4,))
    backbone = Model(x, layers.Dense(4)(x), name="backbone")
    for _ in range(50):
        y = Input((4,))
        Model(y, layers.Dense(1)(backbone(y))).predict(ONES, verbose=0)
    gc.collect()
    assert backbone._calls_ == []
    assert backbone.layers[1]._calls_[0]().operation is backbone.layers[1]
    assert len(backbone.layers[0].models) == 1


def growth(repeat: Callable[[], Any], times: int) -> int:
    """Return how many bytes of Python's memory ``times`` repetitions leave, once caches are full."""
    tracemalloc.start()  # before caches are filled: what replaces an entry is no growth
    try:
        for _ in range(max(20, times // 10)):
            repeat()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(times):
            repeat()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_a_thousand_builds_leave_memory_flat() -> None:
    assert growth(network, 1_000) < 100_000


def test_builds_that_run_leave_memory_flat() -> None:
    assert growth(lambda: network().predict(ONES, verbose=0), 60) < 100_000


def test_thousands_of_predictions_leave_memory_flat() -> None:
    model = network()
    assert growth(lambda: model(ONES), 2_000) < 50_000
    assert growth(lambda: model.predict(ONES, verbose=0), 2_000) < 50_000
