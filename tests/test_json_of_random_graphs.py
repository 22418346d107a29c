"""Random graphs as JSON: what we write is read by real Keras and by us, with equal results from the same weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import random_graphs
import torch
from graph_kinds import KINDS
from test_random_graphs import GREATEST, Drawn

from anabranch import _tree, config
from anabranch.models import model_from_json

CODE = ("bare ", "TorchModule ", "Lambda", "Gate", "SumAndDifference", "Branching", "torch.", "F.", "x.", "b.")
"""How kinds begin that are code, or torch's own functions, and so have no JSON."""
OTHERS = {
    "x * constant": "an array is no JSON",
    "constant - x": "an array is no JSON",
    "~b": "torch's own operator",
    "x @ y.T": "torch's own transpose",
}


TOLERANCE = 2e-5  # Keras computes some constants of graphs of float64 in float32


@pytest.fixture(autouse=True)
def drawing_what_is_data(keras: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before, theirs = config.floatx(), keras.config.floatx()
    for name in ("LAYERS", "ROW", "FUNCTIONS"):
        kinds = [kind for kind in getattr(random_graphs, name) if not kind.startswith(CODE) and kind not in OTHERS]
        assert set(kinds) <= KINDS.keys()
        monkeypatch.setattr(random_graphs, name, kinds)
    yield
    config.set_floatx(before)
    keras.config.set_floatx(theirs)


def arrays(nest: Any) -> list[np.ndarray]:
    """Return the values of a nest; of dicts by key, since Keras sorts them."""
    if isinstance(nest, dict):
        return [array for key in sorted(nest) for array in arrays(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [array for item in nest for array in arrays(item)]
    return [np.asarray(torch.as_tensor(nest).detach())]


def hold(keras: Any, seed: int) -> None:
    drawn = Drawn(random_graphs.sketch_of(3 + seed % 9, seed))
    if not all(bool((value.double().abs() < GREATEST).all()) for value in drawn.values.here.values()):
        return  # rounding decides
    text = drawn.model.to_json()
    keras.config.set_floatx(drawn.sketch.floatx)
    given = drawn.nest()
    wanted = drawn.model(given)
    for read in (model_from_json, keras.models.model_from_json):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict", module="keras")
            warnings.filterwarnings("ignore", "No output needs")  # some of what is drawn leads nowhere
            other = read(text)
        other.set_weights(drawn.model.get_weights())
        found = other(given)
        for one, two in zip(arrays(found), arrays(wanted), strict=True):
            assert one.shape == two.shape
            scale = max(1.0, float(np.abs(two).max(initial=0)))
            assert float(np.abs(one.astype("float64") - two).max(initial=0)) <= TOLERANCE * scale
        if read is model_from_json:
            assert json.loads(other.to_json()) == json.loads(text)
            assert [type(each) for each in _tree.leaves(other.output)] == [
                type(each) for each in _tree.leaves(drawn.model.output)
            ]


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_as_json(keras: Any, seed: int) -> None:
    hold(keras, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_random_graphs_as_json(keras: Any, part: int) -> None:
    for seed in range(1000 + 50 * part, 1050 + 50 * part):
        hold(keras, seed)
