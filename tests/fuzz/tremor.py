"""Rounding: how far Keras's own results move where data and weights move by some units of rounding, and what it has in 64 bits.

Where a kink, a tie or a step of training makes much of little, two right results are far apart, and so are two of Keras's.
Where Keras loses digits (1 - 0.999 ** t, v + (g² - v) beside a large v), its results in 64 bits are what is here in fewer.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from fuzz import helpers
from fuzz.beside import ROUGH, Difference, Pair, as_tensor, close, has_values, leaves, outcome

UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-23}
"""One unit of rounding, by the dtype that a script names."""
TRIES = 12


def is_rounding(found: Difference) -> bool:
    """Return whether a difference of values is not much greater than what Keras's own values move by, or is none in 64 bits."""
    words = found.lines[-1].split()
    if words[:2] != ["#:", "same"] or not found.what.startswith(("values", "number")):
        return False
    text = "\n".join(found.lines)
    unit = next((UNITS[name] for name in ("bfloat16", "float16") if name in text), UNITS["float32"])
    pair = Pair(found.subject)
    for line in found.lines:
        outcome(line, pair.ours)
    ours = _numbers(pair.ours.get(words[2]))
    values = [_moved(found.lines, unit, seed).get(words[2]) for seed in range(TRIES)]
    if _agrees_in_64_bits(found, pair.ours.get(words[2]), values[0]):
        return True
    tries = [_numbers(each) for each in values]
    tries = [each for each in tries if [value.shape for value in each] == [value.shape for value in ours]]
    if len(tries) < 2:
        return False
    return all(_within(*values, rough=found.rough) for values in zip(ours, *tries, strict=True))


def _agrees_in_64_bits(found: Difference, ours: Any, theirs: Any) -> bool:
    """Return whether what Keras computes of the same in 64 bits is what we have in fewer, or nearer to it than to Keras's."""
    lines = [re.sub("b?float(16|32)", "float64", line.replace("mixed_", "")) for line in found.lines]
    if lines == found.lines:
        return False
    names = Pair(found.subject).theirs
    if any(outcome(line, names) for line in ("keras.config.set_dtype_policy('float64')", *lines)):
        return False
    exact = names[found.lines[-1].split()[2]]
    mine, other, wanted = ([as_tensor(each) for each in leaves(value) if has_values(each)] for value in (ours, theirs, exact))
    if [each.shape for each in mine] != [each.shape for each in wanted] or not all(map(torch.is_floating_point, mine)):
        return False
    return all(close(a, c.to(a.dtype), found.rough) or _nearer(a, b, c) for a, b, c in zip(mine, other, wanted, strict=True))


def _nearer(a: torch.Tensor, b: torch.Tensor, exact: torch.Tensor) -> bool:
    """Return whether a is less than half as far from the exact values as b is, at most and on average."""
    mine, other = (a - exact).abs(), (b - exact).abs()
    return bool(mine.max() <= 0.5 * other.max() and mine.mean() <= 0.5 * other.mean())


def _within(ours: torch.Tensor, first: torch.Tensor, *others: torch.Tensor, rough: float) -> bool:
    """Return whether each value is no further from Keras's first than twice what the others are."""
    moved = torch.stack([(each - first).abs().nan_to_num(torch.inf) for each in others]).amax(0)
    usual = min(ROUGH["float32"] * rough, 0.1) * max(1.0, float(first.abs().nan_to_num(0).max())) if first.numel() else 0.0
    same = (ours == first) | (ours.isnan() & first.isnan())
    return bool((same | ((ours - first).abs() <= 2 * moved + usual)).all())


def _numbers(value: Any) -> list[torch.Tensor]:
    return [as_tensor(each).double() for each in leaves(value) if has_values(each)]


def _moved(lines: list[str], unit: float, seed: int) -> dict[str, Any]:
    """Return what a script gives in Keras whose data and weights are moved by up to some units; by none where the seed is 0."""
    rng = np.random.default_rng(seed)
    far = 0.0 if seed == 0 else unit * 4.0 ** (seed % 3)

    def move(values: torch.Tensor) -> torch.Tensor:
        by = torch.from_numpy(np.asarray(rng.uniform(-far, far, tuple(values.shape))))
        return (values.double() * (1 + by)).to(values.dtype) if values.is_floating_point() else values

    def draw(*given: Any, **named: Any) -> torch.Tensor:
        return move(helpers.draw(*given, **named))

    def fill(layer: Any, number: int) -> None:
        helpers.fill(layer, number)
        for weight in layer.weights:
            weight.assign(move(weight.value.detach()))

    names = {**Pair("").theirs, "draw": draw, "fill": fill}
    for line in lines:
        outcome(line, names)
    return names
