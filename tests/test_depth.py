"""Very deep chains: everything that walks a graph walks it without recursion, and with equal work per layer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import anabranch as ab
from anabranch import engine, layers
from anabranch.insight import summarise


def chain(depth: int) -> tuple[Any, Any]:
    x = start = ab.Input((4,))
    for _ in range(depth // 2):
        x = layers.Add()([x, layers.Dense(4, kernel_initializer="zeros")(x)])
    return start, x


def test_a_chain_of_ten_thousand_layers() -> None:
    model = ab.Model(*chain(10_000))
    assert len(model.layers) == 10_001
    found = summarise(model)
    assert len(found.rows) == 10_001
    assert found.rows[-1].connected_to == ["add_4998[0][0]", "dense_4999[0][0]"]
    assert found.total == 5_000 * 20
    assert found.text().count("\n") == 15_001 + 8
    data = np.ones((2, 4), "float32")
    assert np.array_equal(model(data).detach().numpy(), data)
    outputs, _ = engine.program(model, True)([torch.from_numpy(data)])
    outputs[0].sum().backward()
    assert model.weights[0].value.grad is not None


def calls(function: Callable[[], Any]) -> int:
    """Return how many functions of Python run."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def everything(depth: int) -> None:
    model = ab.Model(*chain(depth))
    summarise(model).text()
    engine.program(model, False)


def test_work_per_layer_does_not_grow_with_depth() -> None:
    everything(10)
    assert calls(lambda: everything(1600)) < 4.5 * calls(lambda: everything(400))


def test_time_per_layer_does_not_grow_with_depth() -> None:
    def per_layer(depth: int) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            summarise(ab.Model(*chain(depth))).text()
            times.append(time.process_time() - start)
        return min(times) / depth

    per_layer(100)
    assert per_layer(8000) < 5 * per_layer(500), "loose, for machines under load; bench/depth.py measures"
