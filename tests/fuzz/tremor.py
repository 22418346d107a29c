"""Rounding: how far Keras's own results move where data and weights move by some units of rounding.

Where a kink, a tie or a step of training makes much of little, two right results are far apart, and so are two of Keras's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fuzz import helpers
from fuzz.beside import ROUGH, Difference, Pair, as_tensor, has_values, leaves, outcome

UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-23}
"""One unit of rounding, by the dtype that a script names."""
TRIES = 12


def is_rounding(found: Difference) -> bool:
    """Return whether a difference of values is not much greater than what Keras's own values move by."""
    words = found.lines[-1].split()
    if words[:2] != ["#:", "same"] or not found.what.startswith(("values", "number")):
        return False
    text = "\n".join(found.lines)
    unit = next((UNITS[name] for name in ("bfloat16", "float16") if name in text), UNITS["float32"])
    pair = Pair(found.subject)
    for line in found.lines:
        outcome(line, pair.ours)
    ours = _numbers(pair.ours.get(words[2]))
    tries = [_numbers(_moved(found.lines, unit, seed).get(words[2])) for seed in range(TRIES)]
    tries = [each for each in tries if [value.shape for value in each] == [value.shape for value in ours]]
    if len(tries) < 2:
        return False
    return all(_within(*values, rough=found.rough) for values in zip(ours, *tries, strict=True))


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
