"""Two source trees of anabranch side by side: the processor time of a cold start, of building layers, of calls and of steps.

``python bench/paired.py BEFORE/src NOW/src [--rounds 7] [--out FILE.json]``; what stands in a table is the least of the rounds,
as whatever else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

COLD = """
import anabranch as keras
from nets.keras_words import toy_resnet
toy_resnet(keras).summary()
"""
Times = dict[str, float]


def cost(function: Callable[[], object], calls: int, passes: int = 40) -> float:
    """Return the least processor time of one call, in microseconds, over passes of ``calls`` calls."""
    function()
    best = float("inf")
    for _ in range(passes):
        start = time.process_time()
        for _ in range(calls):
            function()
        best = min(best, time.process_time() - start)
    return best / calls * 1e6


def building() -> Times:
    """Return the time of one layer called on a symbolic tensor, of an operator, and of a layer of a deep model."""
    from anabranch import Input, Model, layers, ops

    x, image = Input((8,)), Input((16, 16, 8))
    dense = layers.Dense(8)
    dense(x)
    cases: dict[str, Callable[[], object]] = {
        "Dense": lambda: layers.Dense(4)(x),
        "Dense, relu": lambda: layers.Dense(4, activation="relu")(x),
        "Conv2D": lambda: layers.Conv2D(8, 3)(image),
        "Conv2D, same, relu": lambda: layers.Conv2D(8, 3, padding="same", activation="relu")(image),
        "BatchNormalization": lambda: layers.BatchNormalization()(x),
        "MaxPooling2D": lambda: layers.MaxPooling2D()(image),
        "ReLU": lambda: layers.ReLU()(x),
        "Dropout": lambda: layers.Dropout(0.5)(x),
        "Add": lambda: layers.Add()([x, x]),
        "a shared layer": lambda: dense(x),
        "x + 1": lambda: x + 1,
        "x + x": lambda: x + x,
        "x[:, 0]": lambda: x[:, 0],
        "ops.relu": lambda: ops.relu(x),
        "ops.concatenate": lambda: ops.concatenate([x, x]),
    }
    found = {f"build {name}": cost(function, 150) for name, function in cases.items()}

    def deep(count: int) -> Model:
        y = first = Input((8,))
        for _ in range(count // 2):
            y = layers.Add()([y, layers.Dense(8)(y)])
        return Model(first, y)

    times = []
    for _ in range(4):
        gc.collect()
        start = time.process_time()
        deep(10_000)
        times.append(time.process_time() - start)
    return {**found, "build a layer of 10,000": min(times) / 10_000 * 1e6}


def calling() -> Times:
    """Return the time of calls on small tensors, which is all but arithmetic."""
    import numpy as np
    import torch

    from anabranch import Input, Model, layers, losses, ops

    torch.set_num_threads(1)
    rows, image, ids = torch.ones(2, 8), torch.ones(1, 5, 5, 3), torch.ones(2, 5, dtype=torch.int32)
    dense, convolution, relu, add = layers.Dense(4), layers.Conv2D(4, 3), layers.ReLU(), layers.Add()
    embedding, after = layers.Embedding(8, 4, mask_zero=True), layers.Dense(4)
    y = x = Input((8,))
    for _ in range(6):
        y = layers.Dense(8, activation="relu")(y)
    model, one, loss = Model(x, y), np.ones((1, 8), "float32"), losses.MeanSquaredError()
    found = {"call Dense with gradients": cost(lambda: dense(rows), 200)}
    cases: dict[str, Callable[[], object]] = {
        "call Dense": lambda: dense(rows),
        "call Conv2D": lambda: convolution(image),
        "call ReLU": lambda: relu(rows),
        "call Add": lambda: add([rows, rows]),
        "call Dense after a mask": lambda: after(embedding(ids)),
        "call ops.relu": lambda: ops.relu(rows),
        "call ops.add": lambda: ops.add(rows, rows),
        "call ops.sum": lambda: ops.sum(rows, axis=1),
        "call a loss": lambda: loss(rows, rows),
        "call a model": lambda: model(rows),
        "predict_on_batch": lambda: model.predict_on_batch(one),
        "predict": lambda: model.predict(one, verbose=0),
    }
    with torch.no_grad():
        return found | {name: cost(function, 100) for name, function in cases.items()}


def training() -> Times:
    """Return the time of a step of a small network, in ``fit`` and alone, and of one of the toy ResNet."""
    import numpy as np
    import torch
    from nets.keras_words import toy_resnet

    import anabranch as keras
    from anabranch import Input, Model, layers

    torch.set_num_threads(1)
    y = x = Input((8,))
    for _ in range(6):
        y = layers.Dense(8, activation="relu")(y)
    model, rows = Model(x, y), np.ones((6400, 8), "float32")
    model.compile("adam", "mse")
    one = rows[:32]
    fit = cost(lambda: model.fit(rows, rows, batch_size=32, verbose=0), 1, 8) / 200
    alone = cost(lambda: model.train_on_batch(one, one), 30, 30)
    resnet = toy_resnet(keras)
    resnet.compile("rmsprop", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = np.ones((16, 32, 32, 3), "float32"), np.zeros((16, 1), "int64")
    step = cost(lambda: resnet.train_on_batch(images, labels), 1, 8)
    return {"fit, a step": fit, "train_on_batch": alone, "train_on_batch, toy ResNet, 16 images": step}


GROUPS = {"building": building, "calling": calling, "training": training}


def environment(tree: str) -> dict[str, str]:
    """Return the environment in which a process finds anabranch in ``tree``, and may save what it has compiled."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.pathsep.join((tree, str(HERE))), "PYTHONHASHSEED": "0"}


def cold(tree: str) -> Times:
    """Return the processor time of a process that describes the toy ResNet and prints its table, in microseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", COLD], env=environment(tree), stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cold start, to the summary": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6}


def measured(tree: str, group: str) -> Times:
    """Return what a fresh process measures of one group."""
    if group == "cold":
        return cold(tree)
    words = [sys.executable, str(HERE / "paired.py"), "--group", group]
    done = subprocess.run(words, env=environment(tree), stdout=subprocess.PIPE, text=True, check=True)
    found: Times = json.loads(done.stdout.splitlines()[-1])
    return found


def commit_of(tree: str) -> str:
    """Return the commit of a tree; "" where it is no checkout."""
    done = subprocess.run(["git", "-C", tree, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def compared(trees: list[str], rounds: int, groups: list[str]) -> dict[str, dict[str, object]]:
    """Return each row's times in microseconds, before and now, measured in turn."""
    rows: dict[str, tuple[list[float], list[float]]] = {}
    known = 0
    for group in groups:
        count = 6 * rounds if group == "cold" else rounds
        for turn in range(-(group == "cold"), count):  # the first start compiles
            for side in (0, 1) if turn % 2 else (1, 0):
                for name, value in measured(trees[side], group).items():
                    if turn >= 0:
                        rows.setdefault(name, ([], []))[side].append(value)
        for name, sides in list(rows.items())[known:]:
            print(f"{name:40s} {min(sides[0]):12.1f} {min(sides[1]):12.1f} {min(sides[1]) / min(sides[0]):6.2f}", flush=True)
        known = len(rows)
    return {
        name: {
            "before": {"least": round(min(a), 2), "median": round(statistics.median(a), 2)},
            "now": {"least": round(min(b), 2), "median": round(statistics.median(b), 2)},
            "ratio": round(min(b) / min(a), 3),
        }
        for name, (a, b) in rows.items()
    }


def main() -> None:
    """Measure one group in this process, or compare two trees."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("trees", nargs="*", help="the earlier and the later src folder")
    words.add_argument("--commits", nargs=2, default=["", ""], help="their commits, where they are no checkouts")
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--out", type=Path)
    words.add_argument("--only", nargs="+", choices=["cold", *GROUPS], default=["cold", *GROUPS])
    words.add_argument("--group", choices=GROUPS, help="measure one group in this process")
    given = words.parse_args()
    if given.group:
        print(json.dumps(GROUPS[given.group]()))
        return
    if len(given.trees) != 2:
        words.error("give two source trees: the earlier and the later")
    trees = [str(Path(tree).resolve()) for tree in given.trees]
    from machine import describe

    commits = [given or commit_of(tree) for given, tree in zip(given.commits, trees, strict=True)]
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(1),
        "setting": {"rounds": given.rounds, "before": commits[0], "now": commits[1]},
        "unit": "microseconds of processor time",
        "rows": compared(trees, given.rounds, given.only),
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
