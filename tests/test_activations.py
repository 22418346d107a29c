"""Every activation beside real Keras's: values, gradients, kinks; and what can be traced, named, written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal

import anabranch as ab
from anabranch import activations, layers
from anabranch._errors import ArgumentTypeError, ShapeError, UnknownNameError

NAMES = sorted(activations._BY_NAME)
NOT_HERE = {"sparsemax": "Keras 3.15.1 on torch adds up all partial sums, so that its results do not sum to 1", "threshold": ""}
OPTIONS = [
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"negative_slope": 0.3, "max_value": 2.0, "threshold": 0.5}),
    ("leaky_relu", {"negative_slope": 0.4}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}),
    ("softmax", {"axis": 1}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 1}),
    ("glu", {"axis": 1}),
    ("soft_shrink", {"threshold": 1.0}),
    ("hard_shrink", {"threshold": 1.0}),
    ("squareplus", {"b": 2}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
]
CASES = [(name, {}) for name in NAMES if name not in NOT_HERE] + OPTIONS


def run(function: Any, x: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the values, and the gradient of a fixed projection of them."""
    given = torch.tensor(x, requires_grad=True)
    result = function(given, **options)
    drawn = np.random.default_rng(2).normal(size=tuple(result.shape)).astype("float32")
    projection = torch.tensor(drawn, device=result.device)
    (gradient,) = torch.autograd.grad((result * projection).sum(), [given])
    return result.detach().cpu().numpy(), gradient.cpu().numpy()


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_equals_keras(keras: Any, name: str, options: dict[str, Any]) -> None:
    if not hasattr(keras.activations, name):
        pytest.skip("not Keras's: compared in tests/ops/test_every_op.py")
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    x = (3 * np.random.default_rng(1).normal(size=(5, 4, 6))).astype("float32")
    for a, b in zip(run(ours, x, **options), run(theirs, x, **options), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * max(1.0, np.abs(b).max())
    kinks = np.linspace(-8, 8, 384, dtype="float32").reshape(16, 4, 6).round(2)
    whole = np.arange(-24, 24, dtype="float32").reshape(2, 4, 6) / 4
    for values in (kinks, whole):
        found, expected = ours(torch.tensor(values), **options), theirs(torch.tensor(values), **options)
        assert allclose(found, expected, atol=1e-5)


def test_every_name_of_keras_is_here(keras: Any) -> None:
    theirs = {name for name in dir(keras.activations) if not name.startswith("_")}
    assert {name for name in theirs if not hasattr(activations, name)} == set()
    assert keras.src.activations.ALL_OBJECTS_DICT.keys() <= activations._BY_NAME.keys()


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis: int) -> None:
    x = 2 * torch.randn(7, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = activations.sparsemax(x, axis)
    assert allclose(found.sum(axis), torch.ones(()).double())
    assert (found >= 0).all()
    moved = x.movedim(axis, -1).reshape(-1, x.shape[axis])
    for row, point in zip(moved, found.movedim(axis, -1).reshape(moved.shape), strict=True):
        low, high = row.min() - 1, row.max()  # the threshold by bisection
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if (row - middle).clamp(min=0).sum() > 1 else (low, middle)
        assert allclose(point, (row - low).clamp(min=0))
    assert torch.autograd.gradcheck(activations.sparsemax, x[:2].clone().requires_grad_())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "threshold"])
def test_traced_code_is_torch_alone(name: str) -> None:
    function = activations.get(name)
    traced = torch.fx.symbolic_trace(lambda x: function(x))  # the options are no inputs
    assert not any("anabranch" in str(getattr(node.target, "__module__", "")) for node in traced.graph.nodes)
    x = torch.linspace(-4, 4, 24).reshape(4, 6)
    assert equal(traced(x), function(x))


@pytest.mark.parametrize("name", NAMES)
def test_names_round_trip(keras: Any, name: str) -> None:
    function = activations.get(name)
    assert activations.deserialize(activations.serialize(function)) is function
    if name in keras.src.activations.ALL_OBJECTS_DICT:
        assert activations.serialize(function) == keras.activations.serialize(keras.activations.get(name))
    assert activations.get({"class_name": "function", "config": name}) is function


def test_none_functions_and_layers_are_activations() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get(torch.sin) is torch.sin
    layer = layers.LeakyReLU(0.1)
    assert activations.get(layer) is layer
    custom = activations.deserialize("mine", {"mine": torch.cos})
    assert custom is torch.cos
    assert activations.deserialize("relu", {"mine": torch.cos}) is activations.relu


def test_what_is_no_activation() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        activations.get("rellu")
    with pytest.raises(ArgumentTypeError, match=r"LeakyReLU\(\)"):
        activations.get(layers.LeakyReLU)
    with pytest.raises(ArgumentTypeError):
        activations.get(3)
    with pytest.raises(ArgumentTypeError, match="lambda"):
        activations.serialize(lambda x: x)


def test_glu_halves_the_last_axis() -> None:
    x = ab.Input((4, 6))
    for layer in (layers.Activation("glu"), layers.Dense(6, activation="glu")):
        y = layer(x)
        assert y.shape == (None, 4, 3)
        assert ab.Model(x, y)(np.ones((2, 4, 6), "float32")).shape == (2, 4, 3)
    assert layers.Activation("glu")(ab.Input((None,))).shape == (None, None)
    with pytest.raises(ShapeError, match="even"):
        layers.Activation("glu")(ab.Input((5,)))
