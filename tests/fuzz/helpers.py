"""What the scripts of the fuzzer call, in either library: drawn data, drawn weights, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as tree

ODD = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0)


def draw(
    seed: int, dtype: str, shape: tuple[int, ...], low: float = -3.0, high: float = 3.0, odd: bool = False
) -> torch.Tensor:
    """Return values from [low, high); ``odd``: some of them are NaN, infinite, or zeros of either sign."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return torch.from_numpy(np.asarray(rng.random(shape) < 0.5))
    if dtype in ("uint8", "int8", "int16", "int32", "int64"):
        first = int(max(low, 0)) if dtype == "uint8" else int(np.floor(low))
        values = np.asarray(rng.integers(first, max(int(np.ceil(high)), first + 1), shape))
        return torch.from_numpy(values).to(getattr(torch, dtype))
    values = np.asarray(rng.uniform(low, high, shape))
    if odd:
        values = np.where(rng.random(shape) < 0.3, rng.choice(ODD, shape), values)
    return torch.from_numpy(np.asarray(values)).to(getattr(torch, dtype))


def fill(layer: Any, seed: int) -> None:
    """Give all weights drawn values; those of variances are positive. What earlier calls left in states is forgotten."""
    if getattr(layer, "stateful", False):
        layer.reset_state()
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        values = 0.5 * rng.normal(size=tuple(weight.shape))
        values = np.abs(values) + 0.5 if "variance" in weight.name else values
        weight.assign(values.astype("float32"))


def gradients(layer: Any, *x: Any, **more: Any) -> list[torch.Tensor]:
    """Return the gradients of a projection of the result for inputs that are floats and weights, in Keras's axis order."""
    one = isinstance(x[0], list)
    given = [each.clone().requires_grad_() if each.is_floating_point() else each for each in (x[0] if one else x)]
    result = layer(given, **more) if one else layer(*given, **more)
    result = result[0] if isinstance(result, (list, tuple)) else result
    values = torch.from_numpy(np.random.default_rng(2).normal(size=tuple(result.shape)))
    weights = list(layer.trainable_weights)
    wanted = [each for each in given if each.requires_grad] + [weight.value for weight in weights]
    if not result.requires_grad:
        return []
    found = torch.autograd.grad((result.double() * values).sum(), wanted, allow_unused=True)
    count = len(found) - len(weights)
    found = [torch.zeros_like(each) if g is None else g for each, g in zip(wanted, found, strict=True)]
    return [*found[:count], *(_in_keras_order(w, g) for w, g in zip(weights, found[count:], strict=True))]


def gradients_of(function: Any, *x: Any) -> list[torch.Tensor]:
    """Return the gradients, for the arrays that are floats, of a projection of what a function gives; 0 where it has none."""
    given = [each.clone().requires_grad_() if each.is_floating_point() else each for each in x]
    rng = np.random.default_rng(2)
    results = [each for each in tree.tree_leaves(function(*given)) if torch.is_tensor(each) and each.is_floating_point()]
    whole = [(each.double() * torch.from_numpy(np.asarray(rng.normal(size=tuple(each.shape))))).sum() for each in results]
    wanted = [each for each in given if each.requires_grad]
    total = sum(whole, torch.zeros(()))
    if not total.requires_grad:
        return [torch.zeros_like(each) for each in wanted]
    found = torch.autograd.grad(total, wanted, allow_unused=True)
    return [torch.zeros_like(each) if g is None else g for each, g in zip(wanted, found, strict=True)]


def _in_keras_order(weight: Any, gradient: torch.Tensor) -> torch.Tensor:
    return weight.from_native(gradient) if hasattr(weight, "from_native") else gradient
