"""Time per layer of residual chains, 1,000 layers beside 10,000: no stage may grow with depth.

python bench/depth.py [--depths 1000 10000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from typing import Any

import numpy as np

import anabranch as ab
from anabranch import engine, insight, layers

STAGES = ("call the layers", "make the model", "summarise", "lower", "first run", "later run")


def chain(depth: int) -> tuple[Any, Any]:
    """Return input and output of a chain of ``depth`` layers: Dense and Add in turn, each pair a residual block."""
    x = start = ab.Input((8,))
    for _ in range(depth // 2):
        x = layers.Add()([x, layers.Dense(8, kernel_initializer="zeros")(x)])
    return start, x


def measure(depth: int) -> list[float]:
    """Return seconds for each stage of one chain."""
    data = np.ones((4, 8), "float32")
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    start, end = chain(depth)
    mark()
    model = ab.Model(start, end)
    mark()
    text = insight.summarise(model).text()
    mark()
    program = engine.program(model, False)
    mark()
    first = model(data).detach().numpy()
    mark()
    model(data)
    mark()
    if program is not engine.program(model, False) or text.count("Dense") != depth // 2 or not np.array_equal(first, data):
        raise RuntimeError("the chain is not what it should be")
    return [after - before for before, after in itertools.pairwise(marks)]


def main() -> None:
    """Print microseconds per layer: the median of the repeats, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    measure(100)  # loads torch
    found: dict[int, list[list[float]]] = {depth: [] for depth in options.depths}
    for _ in range(options.repeats):
        for depth in options.depths:
            found[depth].append(measure(depth))
    print(f"{'µs per layer':<18}" + "".join(f"{depth:>12,}" for depth in options.depths))
    for number, stage in enumerate(STAGES):
        medians = [statistics.median(run[number] for run in found[depth]) / depth * 1e6 for depth in options.depths]
        print(f"{stage:<18}" + "".join(f"{median:>12.1f}" for median in medians))


if __name__ == "__main__":
    main()
