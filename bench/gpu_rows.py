"""Rows of the table of a GPU: one network, one batch, one precision, by ``fit`` and by each peer, in turn.

    python bench/gpu_rows.py --part toy --device cuda --out FILE.json [--quick]
    python bench/gpu_rows.py --ahead toy resnet50 …       # fills the compilers' caches

torch, Keras on torch and anabranch take turns in this process; what runs on JAX is a process of its own. Passes begin and end
with an idle device. Each contender is warmed up until two passes in a row take the same time; then come rounds, each begun by
another.
The file is written after each contender and round, so what is ended early keeps what it has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpu_passes
import gpu_profile
import machine
from contenders import CONTENDERS, ON_GPU as PEERS
from gpu_passes import AbsentError, Pass
from processes import FailedError, Worker, interpreter_for
from report import spread

ROOT = Path(__file__).parents[1]
ROUNDS = 7
RESERVE = 6  # seconds of a row's time that are left for its rounds
SETTLED = 0.1  # two passes in a row that differ by less
IN_JAX = ("keras jax", "flax")


@dataclass(frozen=True)
class Row:
    """What is measured: passes of ``amount`` samples in batches of ``batch``, by anabranch's ways ``ours`` and by all peers."""

    key: str
    label: str
    net: str
    batch: int
    amount: int
    precision: str = "float32"  # with TF32, as torch and Keras users have it; or bfloat16: mixed, autocast
    source: str = "resident"  # tensors on the device, or NumPy arrays: new ones in each pass, or the same
    ours: tuple[str, ...] = ("anabranch",)
    unit: str = "images"
    kind: str = "train"


def _toy(key: str, label: str, batch: int, amount: int, **rest: Any) -> Row:
    return Row(key, f"toy ResNet, batch {batch:,}, {label}", "toy_resnet", batch, amount, **rest)


BOTH = ("anabranch", "anabranch jit_compile=True")
ROWS = {
    "toy": (
        _toy("toy 1024 resident", "TF32, images on the device", 1024, 16_384),
        _toy("toy 1024 new", "TF32, NumPy arrays, the first fit of new ones", 1024, 16_384, source="new arrays"),
        _toy("toy 1024 arrays", "TF32, NumPy arrays, a later fit of the same", 1024, 16_384, source="arrays"),
        _toy("toy 64 resident", "TF32, images on the device", 64, 8_192),
        _toy("toy 64 arrays", "TF32, NumPy arrays, a later fit of the same", 64, 8_192, source="arrays"),
    ),
    "toy-bfloat16": (
        _toy("toy 1024 bfloat16", "bfloat16, images on the device", 1024, 16_384, precision="bfloat16", ours=BOTH),
    ),
    "resnet50": (
        Row("resnet50 bfloat16", "ResNet-50, 224², batch 128, bfloat16", "resnet50", 128, 1_280, precision="bfloat16"),
    ),
    "resnet20": (Row("resnet20", "ResNet-20, batch 128, augmented, TF32", "resnet20_augmented", 128, 12_800),),
    "mlp": (Row("mlp", "MLP of 250 layers, batch 32", "mlp250", 32, 1_600, unit="rows"),),
    "two-tower": (Row("two towers", "two towers, batch 256", "two_tower", 256, 25_600, unit="pairs"),),
    "transformer": (Row("transformer", "transformer block, batch 32 of 128 words", "transformer", 32, 3_200, unit="texts"),),
    "predict": (
        Row("predict 1", "toy ResNet, predict of one, an array", "toy_resnet", 1, 100, kind="predict", source="arrays"),
        Row("call 1", "toy ResNet, model(x) of one, on the device", "toy_resnet", 1, 100, kind="call"),
        Row("predict 1024", "toy ResNet, predict by 1,024, on the device", "toy_resnet", 1024, 16_384, kind="predict"),
    ),
}  # fmt: skip


def small(row: Row) -> Row:
    """Return a row of three steps of few samples, which shows that it runs."""
    batch = min(row.batch, 2 if row.net == "resnet50" else 32)
    return replace(row, batch=batch, amount=3 * batch, label=f"{row.label} (quick: batches of {batch})")


class Contender:
    """One way to do a row: in this process, or, on JAX, in one of its own."""

    def __init__(self, row: Row, name: str, device: str) -> None:
        self.name, self.device, self.worker = name, device, None
        if name in IN_JAX:
            self._start(row, name, device)
        else:
            self.parameters, self.run = gpu_passes.made(row, name, device)

    def _start(self, row: Row, name: str, device: str) -> None:
        gpu_passes.check(row, name)
        peer = CONTENDERS[name]
        python = interpreter_for(peer, [sys.executable, *map(str, sorted(ROOT.glob(".bench/*/bin/python")))])
        if python is None:
            raise AbsentError(f"{' and '.join(peer.needs)} are not installed")
        words = [python, str(Path(__file__)), "--serve", row.key, name, "--device", device]
        words += ["--quick"] if "(quick" in row.label else []
        platform = {} if device == "cuda" else {"JAX_PLATFORMS": "cpu"}
        self.worker = Worker(words, os.environ | peer.environment | platform, 90)
        self.parameters = self.worker.facts["parameters"]
        self.run = Pass(lambda: None)

    def seconds(self) -> float:
        """Return what one pass takes."""
        if self.worker:
            return float(self.worker.timed("pass")["seconds"])
        return self.run.seconds(self.device)

    def close(self) -> None:
        """End its process."""
        if self.worker:
            self.worker.close()


class Measured:
    """The figures of one row, written whenever there are more."""

    def __init__(self, row: Row, write: Any) -> None:
        self.row, self.write = row, write
        self.data: dict[str, Any] = {
            "label": row.label, "unit": row.unit, "kind": row.kind, "amount": row.amount, "batch": row.batch, "contenders": {},
            "absent": {}, "profile": {}, "asked": [*row.ours, *PEERS],
        }  # fmt: skip

    def absent(self, name: str, reason: str) -> None:
        """Note why a contender has no figure, or no further ones."""
        self.data["absent"][name] = reason[:300]
        print(f"{self.row.key}: {name}: {reason}", flush=True)
        self.write()

    def add(self, name: str, seconds: float) -> None:
        """Note one more pass."""
        found = self.data["contenders"].setdefault(name, {"seconds": []})
        found["seconds"].append(seconds)
        found.update(spread(found["seconds"]))
        self.write()


def remaining() -> float:
    """Return how many seconds are left to this process."""
    return float(os.environ.get("BENCH_UNTIL", "inf")) - time.time()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer than so many seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"not ready within {seconds:.0f} s")

    if seconds < 1:
        raise AbsentError("no time was left to make it ready")
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds if seconds < 1e6 else 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ready(row: Row, name: str, options: argparse.Namespace, measured: Measured, until: float) -> Contender | None:
    """Return a contender that has settled; None where it cannot be had, which is noted."""
    patience = remaining() - until - RESERVE
    try:
        gpu_passes.check(row, name)
        begin = time.perf_counter()
        with within(min(patience, 60) if options.quick else patience):
            contender = Contender(row, name, options.device)
            passes = [contender.seconds() for _ in range(2)]
            while len(passes) < 5 and abs(passes[-1] / passes[-2] - 1) > SETTLED and sum(passes[1:]) < 5:
                passes.append(contender.seconds())
    except AbsentError as error:
        measured.absent(name, str(error))
        return None
    except Exception as error:
        measured.absent(name, f"failed: {type(error).__name__}: {' '.join(str(error).split())}")
        return None
    facts = {"parameters": contender.parameters, "ready": time.perf_counter() - begin, "first": passes[0]}
    measured.data["contenders"][name] = facts | {"seconds": []}
    print(f"{row.key}: {name}: ready after {facts['ready']:.1f} s", flush=True)
    return contender


def measure(row: Row, options: argparse.Namespace, measured: Measured, until: float) -> None:
    """Make all contenders ready, then time them in turn; anabranch's steps, and the fastest peer's, are profiled."""
    device, rounds = options.device, 2 if options.quick else ROUNDS
    found = {}
    for name in (*row.ours, *PEERS):
        if name in PEERS and name not in options.peers:
            measured.absent(name, "left out of this run")
        elif contender := ready(row, name, options, measured, until):
            found[name] = contender
    counts = {contender.parameters for contender in found.values()}
    if len(counts) > 1:
        measured.data["networks differ"] = {name: contender.parameters for name, contender in found.items()}
    for number in range(rounds):
        order = list(found)
        first = number % max(len(order), 1)
        for name in order[first:] + order[:first]:
            try:
                measured.add(name, found[name].seconds())
            except Exception as error:
                measured.absent(name, f"failed: {type(error).__name__}: {' '.join(str(error).split())}")
                found.pop(name).close()
        if remaining() < until and number >= 2:
            break
    look_into(row, device, measured, found)
    for contender in found.values():
        contender.close()


def look_into(row: Row, device: str, measured: Measured, found: dict[str, Contender]) -> None:
    """Profile anabranch and the fastest peer of this process."""
    times = {name: statistics.median(measured.data["contenders"][name]["seconds"]) for name in found}
    peers = sorted((name for name in times if name not in row.ours and name not in IN_JAX), key=lambda name: times[name])
    for name in [*(name for name in row.ours if name in found), *peers[:1]]:
        try:
            steps = max(-(-row.amount // row.batch), 1)
            measured.data["profile"][name] = gpu_profile.of(found[name].run, device, steps)
        except Exception as error:
            measured.data["profile"][name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
        measured.write()


def free(device: str) -> None:
    """Give back what the last row held."""
    import gc

    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def part(name: str, options: argparse.Namespace) -> None:
    """Measure the rows of a part; each has an equal part of the time that is left."""
    data: dict[str, Any] = {"rows": {}}
    rows = [small(row) if options.quick else row for row in ROWS[name]]
    for place, row in enumerate(rows):
        measured = Measured(row, lambda: options.out.write_text(json.dumps(data)))
        data["rows"][row.key] = measured.data
        left = len(rows) - place
        until = remaining() * (1 - 1 / left) + 3 if remaining() < 1e9 else 0.0
        measure(row, options, measured, until)
        measured.write()
        free(options.device)


def serve(key: str, name: str, options: argparse.Namespace) -> None:
    """Be the process of one contender on JAX."""
    import worker

    row = next(row for rows in ROWS.values() for row in rows if row.key == key)
    parameters, run = gpu_passes.made(small(row) if options.quick else row, name, options.device)
    worker.serve({"pass": run}, False, parameters=parameters)


def ahead(names: list[str], options: argparse.Namespace) -> None:
    """Let all that compile do it, several at once, so that the caches are full when they are timed."""
    words = [sys.executable, str(Path(__file__)), "--device", options.device, *(["--quick"] if options.quick else [])]
    words += ["--peers", *options.peers]
    waiting = [row.key for name in names for row in ROWS[name] if row.kind != "predict" or row.batch > 1]
    running: list[subprocess.Popen[bytes]] = []
    failed: dict[str, int] = {}
    while waiting or running:
        while waiting and len(running) < max(machine.cores() // 2, 1):
            running.append(subprocess.Popen([*words, "--compile", waiting.pop(0)]))
        time.sleep(0.2)
        for process in [each for each in running if each.poll() is not None]:
            running.remove(process)
            if process.returncode:
                failed[str(process.args[-1])] = process.returncode  # type: ignore[index]  # a list
    options.out.write_text(json.dumps({"failed": failed}))


def compile_once(key: str, options: argparse.Namespace) -> None:
    """Do one pass of each contender of a row that compiles; what fails here is said where it is timed."""
    row = next(row for rows in ROWS.values() for row in rows if row.key == key)
    if row.source != "resident":
        return
    for name in (
        *row.ours[1:],
        *(name for name in ("torch.compile", "torch.compile, CUDA graphs", "flax") if name in options.peers),
    ):
        try:
            contender = Contender(small(row) if options.quick else row, name, options.device)
            contender.seconds()
            contender.close()
        except (AbsentError, FailedError) as error:
            print(f"{key}: {name}: {error}", flush=True)


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(ROWS))
    parser.add_argument("--serve", nargs=2, metavar=("ROW", "CONTENDER"))
    parser.add_argument("--ahead", nargs="+", choices=list(ROWS), default=[])
    parser.add_argument("--compile", metavar="ROW")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options)
    elif options.compile:
        compile_once(options.compile, options)
    elif options.ahead:
        ahead(options.ahead, options)
    else:
        part(options.part, options)


if __name__ == "__main__":
    main()
