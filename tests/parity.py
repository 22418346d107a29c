"""One layer beside real Keras's on the same weights and numbers: results, gradients, state after a call in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from devices import tolerated

import anabranch as ab
from anabranch import layers
from anabranch.graph import Weight


def assert_same_as_keras(
    keras: Any,
    name: str,
    shape: tuple[int, ...],
    *,
    training: bool = False,
    tolerance: float = 1e-5,
    unknown: tuple[int, ...] = (),
    **config: Any,
) -> None:
    """Compare layer ``name`` of both, called on one batch of ``shape``; the axes ``unknown`` are None where it is described."""
    described = [None if axis in unknown else size for axis, size in enumerate(shape)][1:]
    ours, theirs = getattr(layers, name)(**config), getattr(keras.layers, name)(**config)
    symbol = ab.Input(described)
    model = ab.Model(symbol, ours(symbol))
    rule = theirs(keras.Input(described)).shape
    assert model.outputs[0].shape == tuple(rule)
    draw_weights(ours)
    theirs.set_weights(ours.get_weights())
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    found, expected = (
        run(ours, lambda x: model(x, training=training), x),
        run(theirs, lambda x: theirs(x, training=training), x),
    )
    tolerance = tolerated(tolerance)
    names = ["result", "gradient of the input", *(w.name for w in ours.trainable_weights)]
    for what, a, b in zip(names, found, expected, strict=True):
        assert a.shape == b.shape, what
        error = np.abs(a - b).max(initial=0) / max(1.0, np.abs(b).max(initial=0))
        assert error <= tolerance, f"{what}: {error}"
    for weight, a, b in zip(ours.weights, ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.abs(a - b).max(initial=0) <= tolerance, weight.name
    known = {axis for axis, size in enumerate(model.outputs[0].shape) if size is not None}
    assert all(model.outputs[0].shape[axis] == found[0].shape[axis] for axis in known)


def draw_weights(layer: Any) -> None:
    """Give the layer's weights drawn values that they might have in earnest."""
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        values = 0.4 * rng.normal(size=weight.shape)
        weight.assign((np.abs(values) + 0.5 if "variance" in weight.name else values).astype("float32"))


def run(layer: Any, function: Any, x: np.ndarray) -> list[np.ndarray]:
    """Return the result, and the gradients of a fixed projection of it for input and weights, in Keras's axis order."""
    given = torch.tensor(x, requires_grad=True)
    result = function(given)
    projection = torch.tensor(np.random.default_rng(2).normal(size=result.shape).astype("float32"), device=result.device)
    weights = list(layer.trainable_weights)
    found = torch.autograd.grad((result * projection).sum(), [given, *(w.value for w in weights)])
    shown = [in_keras_order(w, g) for w, g in zip(weights, found[1:], strict=True)]
    return [tensor.detach().cpu().numpy() for tensor in (result, found[0], *shown)]


def in_keras_order(weight: Any, gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient in the layout of torch's weights, moved in the weight's own axis order."""
    return weight.from_native(gradient) if isinstance(weight, Weight) else gradient


def close(mine: Any, other: Any) -> None:
    """Compare numbers, arrays, or dictionaries of them, that took several steps of training."""
    if isinstance(mine, dict):
        assert set(mine) == set(other)
        for key in mine:
            close(mine[key], other[key])
    else:
        np.testing.assert_allclose(np.asarray(mine), np.asarray(other), rtol=tolerated(2e-4), atol=tolerated(2e-5))
