"""Everything that a machine with a GPU can say about anabranch, in one command of less than eight minutes.

    python bench/gpu.py [--only toy airbench …] [--minutes 7.6] [--long] [--out bench/results/DATE-gpu.json]
    python bench/gpu.py --device cpu --quick        # does all of it run?

Runs from a plain checkout, where torch, numpy, rich, safetensors and lazy_loader are installed; what else is missing (pytest,
Keras, JAX, CIFAR-10 in ``ANABRANCH_DATA``) is named, and the rest runs. Each part is a process of its own with a limit of time:
one that crashes, or is ended at its limit, loses what it had not yet found and nothing of the others. The JSON is written after
each part and names those that time cut off; a table of it in Markdown lies beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cifar
import gpu_table
import machine
from contenders import ON_GPU as PEERS

HERE = Path(__file__).parent
ROOT = HERE.parent
GRACE = 15  # seconds in which a part that is asked to end may write what it has
QUICK_LIMIT = 400  # seconds of a part of --quick, on a CPU


@dataclass(frozen=True)
class Part:
    """One process: ``words`` returns its command, which writes what it finds into a file, or raises why it cannot run."""

    name: str
    label: str
    limit: float
    words: Callable[[argparse.Namespace, Path], list[str]]
    least: float = 10  # seconds without which it is not begun; later parts are left so much
    beside: bool = False  # begins together with the next one: nothing of either is timed


class NotRunError(Exception):
    """What a part needs is not here."""


def measuring(file: str, *rest: str, images: bool = False) -> Callable[[argparse.Namespace, Path], list[str]]:
    """Return the command of a part that is a program of this folder; ``images``: on CIFAR-10."""

    def words(options: argparse.Namespace, out: Path) -> list[str]:
        if images and not options.quick and not cifar.is_here():
            raise NotRunError("CIFAR-10 is not in ANABRANCH_DATA, a folder that holds cifar-10-batches-bin")
        quick = ["--quick"] if options.quick else []
        peers = ["--peers", *options.peers] if file == "gpu_rows.py" else []
        return [sys.executable, str(HERE / file), *rest, "--device", options.device, *quick, *peers, "--out", str(out)]

    return words


def testing(*chosen: str) -> Callable[[argparse.Namespace, Path], list[str]]:
    """Return the command of a part that is tests; they run in parallel where pytest-xdist is."""

    def words(options: argparse.Namespace, out: Path) -> list[str]:
        if not machine.has("pytest"):
            raise NotRunError("pytest is not installed")
        count = workers(options.device)
        parallel = ["-n", str(count)] if count > 1 and machine.has("xdist") else []
        tests = ["tests/test_tree.py"] if options.quick and not chosen else []
        always = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--device", options.device]
        return [sys.executable, "-m", "pytest", *always, "--record", str(out), *parallel, *chosen, *tests]

    return words


def workers(device: str) -> int:
    """Return how many processes of tests fit: in the cores, and in the memory of host and device."""
    count = min(machine.cores(), machine.memory_gb() / 4)
    if device == "cuda":
        count = min(count, machine.device_memory_gb() / 3)
    return max(int(count), 1)


def rows(name: str, limit: float) -> Part:
    """Return a part that measures rows of the table."""
    return Part(name, f"rows of the table: {name}", limit, measuring("gpu_rows.py", "--part", name), least=18)


ROWS = ("toy", "toy-bfloat16", "resnet20", "resnet50", "mlp", "transformer", "two-tower", "predict")
PARTS = (
    Part("compile", "torch.compile and JAX fill their caches", 90, measuring("gpu_rows.py", "--ahead", *ROWS), beside=True),
    Part("tests-gpu", "tests that need a GPU", 90, testing("-m", "gpu")),
    rows("toy", 75),
    rows("toy-bfloat16", 35),
    Part(
        "airbench-muon", "airbench94_muon by fit, by a loop", 45, measuring("airbench.py", "--design", "muon", images=True), 25
    ),
    rows("resnet20", 30),
    rows("resnet50", 50),
    Part("airbench", "airbench94 by fit and by a loop", 60, measuring("airbench.py", images=True), 25),
    Part(
        "resnet20-epochs", "ResNet-20, 20 epochs of CIFAR-10", 45, measuring("gpu_epochs.py", "--epochs", "20", images=True), 20
    ),
    rows("mlp", 35),
    rows("transformer", 30),
    rows("two-tower", 25),
    rows("predict", 30),
    Part("tests", "all tests on the device", 300, testing(), least=100),
)
LONG = (Part("resnet20-long", "ResNet-20, 64,000 steps", 900, measuring("gpu_epochs.py", "--epochs", "164", images=True)),)


class Running:
    """A part's process: leader of its group, so that what it starts ends with it."""

    def __init__(self, part: Part, options: argparse.Namespace, folder: Path, seconds: float) -> None:
        self.part, self.file, self.begin = part, folder / f"{part.name}.json", time.perf_counter()
        words = part.words(options, self.file)
        self.log = (folder / f"{part.name}.log").open("w+", errors="replace")
        self.end = self.begin + seconds
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "BENCH_UNTIL": str(time.time() + seconds), **options.caches}
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def finished(self) -> dict[str, Any] | None:
        """Return what was found once the process has ended, which is brought about at the limit; None before that."""
        late = time.perf_counter() > self.end
        if self.process.poll() is None and not late:
            return None
        self.stop()
        return {"label": self.part.label, "seconds": round(time.perf_counter() - self.begin, 1), **self.outcome(late)}

    def stop(self) -> None:
        """End the process and all that it started: asked first, so that pytest reports what it has."""
        for number, patience in ((signal.SIGINT, GRACE), (signal.SIGKILL, None)):
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
        with contextlib.suppress(ProcessLookupError):  # what it left behind
            os.killpg(self.process.pid, signal.SIGKILL)

    def outcome(self, late: bool) -> dict[str, Any]:
        """Return how it ended, with the last lines that it wrote where that was not well, and its file's content."""
        self.log.seek(0)
        lines = [line.rstrip() for line in self.log.read().splitlines() if line.strip()]
        self.log.close()
        try:
            found = json.loads(self.file.read_text())
        except (OSError, ValueError):
            found = None
        if late:
            status = "ended at its limit"
        elif self.process.returncode and not (found and self.part.name.startswith("tests")):
            status = f"failed with exit code {self.process.returncode}"
        else:
            status = "done"
        said = {} if status == "done" else {"last lines": lines[-12:]}
        return {"status": status, **said, "found": found}


def run(parts: list[Part], options: argparse.Namespace, keep: Callable[[str, dict[str, Any]], None]) -> None:
    """Run the parts in turn while time is left, and hand over what each found."""
    end = time.perf_counter() + 60 * options.minutes
    running: list[Running] = []
    with tempfile.TemporaryDirectory() as folder:
        options.caches = caches(Path(folder))
        try:
            for place, part in enumerate(parts):
                rest = sum(each.least for each in parts[place + 1 :])
                seconds = min(QUICK_LIMIT if options.quick else part.limit, end - time.perf_counter() - rest)
                if seconds < part.least:
                    keep(part.name, {"label": part.label, "status": "cut off: no time was left"})
                else:
                    try:
                        running.append(Running(part, options, Path(folder), seconds))
                    except NotRunError as error:
                        keep(part.name, {"label": part.label, "status": f"not run: {error}"})
                if not part.beside or place == len(parts) - 1:
                    await_all(running, keep)
        finally:  # Ctrl-C
            for each in running:
                each.stop()


def await_all(running: list[Running], keep: Callable[[str, dict[str, Any]], None]) -> None:
    """Wait until all have ended, and hand over what each found as it ends."""
    while running:
        for each in list(running):
            if found := each.finished():
                running.remove(each)
                keep(each.part.name, found)
        time.sleep(0.05)


def caches(folder: Path) -> dict[str, str]:
    """Return where compilers cache what they made: in this run alone, so that no earlier one shortens it."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def written(results: dict[str, Any], out: Path) -> Callable[[str, dict[str, Any]], None]:
    """Return what adds a part to the results and writes them."""

    def keep(name: str, found: dict[str, Any]) -> None:
        results["parts"][name] = found
        if results["device"] == "cuda":
            results["clocks"][name] = machine.clocks()
        out.write_text(json.dumps(results, indent=1) + "\n")
        took = f", {found['seconds']:.0f} s" if "seconds" in found else ""
        print(f"{name}: {found['status']}{took}", flush=True)
        for line in found.get("last lines", []):
            print(f"    {line}", flush=True)

    return keep


def chosen(options: argparse.Namespace) -> Iterator[Part]:
    """Yield the parts that were asked for."""
    for part in (*PARTS, *(LONG if options.long else ())):
        if (not options.only or part.name in options.only) and part.name not in options.without:
            yield part


def parsed() -> argparse.Namespace:
    """Return the options."""
    names = [part.name for part in (*PARTS, *LONG)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=[])
    parser.add_argument("--without", nargs="+", choices=names, default=[])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="contenders of the tables")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny amounts: shows that everything runs, not how fast")
    parser.add_argument("--minutes", type=float, help="for all of it: 7.6; with --long 20, with --quick 30")
    parser.add_argument("--long", action="store_true", help="the 64,000 steps of ResNet-20, too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.minutes = options.minutes or (30 if options.quick else 20 if options.long else 7.6)
    return options


def main() -> None:
    """Run, write, show."""
    options = parsed()
    if gone := [name for name in ("torch", "numpy", "rich", "safetensors", "lazy_loader") if not machine.has(name)]:
        raise SystemExit(f"anabranch needs {', '.join(gone)}, which {sys.executable} does not have")
    import torch

    if "ANABRANCH_DATA" in os.environ:  # parts run elsewhere
        os.environ["ANABRANCH_DATA"] = str(Path(os.environ["ANABRANCH_DATA"]).resolve())
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} finds no CUDA device; --device cpu --quick tries all of it without one")
    when = datetime.datetime.now(datetime.UTC)
    results: dict[str, Any] = {
        "when": when.isoformat(timespec="seconds"), "device": options.device, "quick": options.quick,
        "machine": machine.describe(torch.get_num_threads()) | machine.device(options.device),
        "versions": machine.versions(), "commit": machine.commit(), "missing": machine.missing(), "clocks": {}, "parts": {},
    }  # fmt: skip
    suffix = "" if options.device == "cuda" else f"-{options.device}"
    out = options.out or HERE / "results" / f"{when:%Y-%m-%d}-gpu{suffix}{'-quick' if options.quick else ''}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    print("\n".join(f"missing: {name}: {what}" for name, what in results["missing"].items()), flush=True)
    begin = time.perf_counter()
    run(list(chosen(options)), options, written(results, out))
    results["seconds"] = round(time.perf_counter() - begin, 1)
    out.write_text(json.dumps(results, indent=1) + "\n")
    table = gpu_table.markdown(results)
    out.with_suffix(".md").write_text(table)
    print(f"{table}\nwritten to {out} and {out.with_suffix('.md').name}")


if __name__ == "__main__":
    main()
