"""Random graphs through files, JSON, clones, pickles and deep copies, and through real Keras: equal in every bit afterwards."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_graphs
import torch
from test_json_of_random_graphs import CODE, OTHERS, TOLERANCE, arrays
from test_random_graphs import GREATEST, Drawn, loss

import anabranch as ab
from anabranch import _tree, config
from anabranch.models import clone_model, load_model, model_from_json

LAMBDAS = ("Lambda",)
"""How kinds begin that no pickle finds again."""
FIRST = 1000
"""The first seed of the many graphs."""


def through_file(model: Any, path: Path) -> Any:
    model.save(path)
    return load_model(path)


def through_json(model: Any, path: Path) -> Any:
    twin = model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    return twin


DATA: dict[str, Callable[[Any, Path], Any]] = {"file": through_file, "JSON": through_json}
"""For graphs of layers and of Keras's functions."""
ANY: dict[str, Callable[[Any, Path], Any]] = {
    "clone": lambda model, path: clone_model(model, weights="copied"),
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
}
"""For graphs with torch's functions and modules, and users' layers, too."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = config.floatx()
    yield
    config.set_floatx(before)


def draw(seed: int, left_out: tuple[str, ...], others: Any, monkeypatch: pytest.MonkeyPatch) -> Drawn | None:
    """Return the graph of a seed without some kinds; None where rounding decides what it gives."""
    with monkeypatch.context() as patch:
        for name in ("LAYERS", "ROW", "FUNCTIONS"):
            kinds = [kind for kind in getattr(random_graphs, name) if not kind.startswith(left_out) and kind not in others]
            patch.setattr(random_graphs, name, kinds)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No output needs")  # some of what is drawn leads nowhere
            drawn = Drawn(random_graphs.sketch_of(3 + seed % 9, seed))
    finite = all(bool((value.double().abs() < GREATEST).all()) for value in drawn.values.here.values())
    return drawn if finite else None


class Stepped:
    """What a model gives, its gradients, and its weights after a step of training."""

    def __init__(self, model: Any, drawn: Drawn) -> None:
        ab.utils.set_random_seed(5)
        given = [x.clone().requires_grad_(x.is_floating_point()) for x in drawn.data]
        outputs = model(_tree.fill(drawn.sketch.inputs, given), training=True)
        self.structure = repr(_tree.map_leaves(lambda leaf: (tuple(leaf.shape), leaf.dtype), outputs))
        self.values = [leaf.detach().clone() for leaf in _tree.leaves(outputs)]
        total = loss(_tree.leaves(outputs))
        weights = [weight.value for weight in model.trainable_weights]
        if total is not None and total.requires_grad:
            total.backward()
        self.values += [x.grad for x in [*given, *weights] if x.grad is not None]
        if any(weight.grad is not None for weight in weights):
            optimizer = ab.optimizers.Adam(0.01)
            optimizer.build(model.trainable_weights)
            optimizer.step()
        self.values += [weight.value.detach().clone() for weight in model.weights]
        for weight in weights:
            weight.grad = None


def hold_to(model: Any, twin: Any, drawn: Drawn, expected: Stepped, way: str) -> None:
    assert not model.diff(twin), f"{way}:\n{model.diff(twin)}"
    assert not set(map(id, model.weights)) & set(map(id, twin.weights)), way
    found = Stepped(twin, drawn)
    assert found.structure == expected.structure, way
    assert len(found.values) == len(expected.values), way
    for one, two in zip(found.values, expected.values, strict=True):
        assert torch.equal(one.isnan(), two.isnan()), way
        assert torch.equal(one.nan_to_num(), two.nan_to_num()), way


def hold(drawn: Drawn, ways: dict[str, Callable[[Any, Path], Any]], folder: Path) -> None:
    model = drawn.model
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No output needs")
        twins = {way: ways[way](model, folder / "m.keras") for way in ways}
    expected = Stepped(model, drawn)
    for way, twin in twins.items():
        hold_to(model, twin, drawn, expected, way)


def hold_to_keras(keras: Any, drawn: Drawn, folder: Path) -> None:
    """Hold a model to what Keras makes of its file, and to what we make of Keras's file of that."""
    path, again = folder / "ours.keras", folder / "theirs.keras"
    drawn.model.save(path)
    given = drawn.nest()
    wanted = arrays(drawn.model(given))
    before = keras.config.floatx()
    keras.config.set_floatx(drawn.sketch.floatx)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict", module="keras")
            warnings.filterwarnings("ignore", "(?s).*softmax over axis", module="(keras|torch)")  # of one value
            warnings.filterwarnings("ignore", "No output needs")
            theirs = keras.models.load_model(path)
            found = [arrays(theirs(given))]
            theirs.save(again)
            found.append(arrays(load_model(again)(given)))
    finally:
        keras.config.set_floatx(before)
    for values in found:
        for one, two in zip(values, wanted, strict=True):
            assert one.shape == two.shape
            scale = max(1.0, float(np.abs(two).max(initial=0)))
            assert float(np.abs(one.astype("float64") - two).max(initial=0)) <= TOLERANCE * scale


def every_way(seed: int, keras: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw(seed, LAMBDAS, (), monkeypatch)
    if drawn is not None:
        hold(drawn, ANY, folder)
    drawn = draw(seed, CODE, OTHERS, monkeypatch)
    if drawn is not None:
        compares = any(unit.kind == "ops.where" for unit in drawn.built.made)
        if not (compares and drawn.sketch.floatx == "float64"):  # Keras rounds some of float64 to float32, which decides ties
            hold_to_keras(keras, drawn, folder)
        hold(drawn, DATA | ANY, folder)


@pytest.mark.parametrize("seed", range(8))
def test_round_trips(seed: int, keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_way(seed, keras, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_round_trips(part: int, keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of any kind and graphs that are data, of 600 seeds: more than 1,000, where rounding decides some."""
    for seed in range(FIRST + 60 * part, FIRST + 60 * part + 60):
        every_way(seed, keras, tmp_path, monkeypatch)
