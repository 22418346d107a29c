"""Throughput of training the toy ResNet: anabranch's fit beside Keras's fit and plain torch loops, interleaved in one run.

    python bench/train.py [--rounds 5] [--images 6400] [--batch 64] [--python INTERPRETER ...] [--out bench/results/NAME.json]

Every contender is a process of its own that stays warm; the driver asks each in turn for one timed pass, round after round, so
that a drift of the machine meets all of them alike. Contenders whose library is missing from every interpreter given are left
out, and named. The figure is images trained per second: median, least and greatest over the rounds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Pass = Callable[[], None]
CONTENDERS = ("anabranch", "torch", "torch channels_last", "keras torch", "keras tensorflow", "keras jax")


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float images (N, 32, 32, 3) and labels; their content does not matter for time."""
    rng = np.random.default_rng(0)
    return rng.random((count, 32, 32, 3), "float32"), rng.integers(0, 10, (count, 1))


def fit_pass(library: str, count: int, batch: int) -> Pass:
    """Return one epoch of ``fit`` in Keras's words."""
    sys.path.insert(0, str(Path(__file__).parent))
    keras = importlib.import_module(library)
    model = importlib.import_module("accuracy").toy_resnet(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss=loss, metrics=["acc"])
    x, y = images(count)
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0)


def torch_pass(count: int, batch: int, channels_last: bool) -> Pass:
    """Return one epoch of the loop that people write by hand."""
    import torch
    import torch.nn.functional as F

    class ToyResNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv = torch.nn.Conv2d
            self.c1, self.c2 = conv(3, 32, 3), conv(32, 64, 3)
            self.c3, self.c4 = conv(64, 64, 3, padding=1), conv(64, 64, 3, padding=1)
            self.c5, self.c6 = conv(64, 64, 3, padding=1), conv(64, 64, 3, padding=1)
            self.c7 = conv(64, 64, 3)
            self.d1, self.drop, self.d2 = torch.nn.Linear(64, 256), torch.nn.Dropout(0.5), torch.nn.Linear(256, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.c2(F.relu(self.c1(x)))), 3)
            x = F.relu(self.c4(F.relu(self.c3(x)))) + x
            x = F.relu(self.c6(F.relu(self.c5(x)))) + x
            x = F.relu(self.c7(x)).mean((2, 3))
            return self.d2(self.drop(F.relu(self.d1(x))))

    model = ToyResNet()
    optimizer = torch.optim.RMSprop(model.parameters(), 1e-3, alpha=0.9, eps=1e-7)
    x, y = (torch.from_numpy(array) for array in images(count))
    x, y = x.permute(0, 3, 1, 2).contiguous(), y[:, 0]
    if channels_last:
        model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        model.train()
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for index in torch.randperm(count).split(batch):
            images, labels = x[index], y[index]
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.detach()
            right += (logits.argmax(1) == labels).sum()

    return run


def make(name: str, count: int, batch: int) -> Pass:
    """Return the pass of one contender."""
    if name.startswith("torch"):
        return torch_pass(count, batch, name.endswith("channels_last"))
    return fit_pass(name.split()[0], count, batch)


def work(name: str, count: int, batch: int) -> None:
    """Serve one contender: a warm-up, then one timed pass for each line that comes in."""
    run = make(name, count, batch)
    start = time.perf_counter()
    run()
    print(f"ready {time.perf_counter() - start}", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(f"time {time.perf_counter() - start}", flush=True)


class Worker:
    """A warm process of one contender."""

    def __init__(self, name: str, python: str, options: argparse.Namespace) -> None:
        self.name = name
        environment = os.environ | ({"KERAS_BACKEND": name.split()[1]} if name.startswith("keras") else {})
        command = [python, __file__, "--worker", name, "--images", str(options.images), "--batch", str(options.batch)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.first_pass = self._read("ready")

    def _read(self, label: str) -> float:
        while line := self.process.stdout.readline():
            if line.startswith(label + " "):
                return float(line.split()[1])
        raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")

    def timed(self) -> float:
        """Return the seconds of one pass."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read("time")


def interpreter_for(name: str, pythons: list[str]) -> str | None:
    """Return the first interpreter that has what the contender needs."""
    library, _, backend = name.partition(" ")
    needs = [library] + ([backend] if library == "keras" else [])
    test = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(n) for n in {needs!r}))"
    for python in pythons:
        if subprocess.run([python, "-c", test], check=False).returncode == 0:
            return python
    return None


def main() -> None:
    """Run the comparison, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", nargs="+", default=CONTENDERS)
    parser.add_argument("--python", nargs="+", default=[], help="more interpreters to look for peers in")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker")
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.images, options.batch)
        return
    workers = []
    for name in options.only:
        python = interpreter_for(name, [sys.executable, *options.python])
        print(f"{name}: {'starting' if python else 'not installed, left out'}", flush=True)
        if python:
            workers.append(Worker(name, python, options))
    times: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for _ in range(options.rounds):
        for worker in workers:
            times[worker.name].append(worker.timed())
    rows = report(times, {w.name: w.first_pass for w in workers}, options)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


def report(times: dict[str, list[float]], first: dict[str, float], options: argparse.Namespace) -> dict[str, Any]:
    """Print images per second of each contender and return them with the machine's description."""
    print(f"\n{'contender':<22}{'images/s':>10}{'least':>8}{'most':>8}   first pass, s")
    rates = {name: sorted(options.images / t for t in seconds) for name, seconds in times.items()}
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        print(f"{name:<22}{statistics.median(values):>10.0f}{values[0]:>8.0f}{values[-1]:>8.0f}{first[name]:>10.1f}")
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    setting = {"rounds": options.rounds, "images": options.images, "batch": options.batch}
    return {"machine": machine, "setting": setting, "images_per_second": rates, "first_pass_seconds": first}


if __name__ == "__main__":
    main()
