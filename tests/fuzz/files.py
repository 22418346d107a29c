"""Fuzz the readers of files: ``python -m fuzz.files [--inputs 20000] [--seed N] [--guided]``, or ``make fuzz-files``.

Valid files are mutated (``mutations``) and read. The outcome must be a success or one of our errors, within the memory and the
time that are set. ``--guided`` lets atheris choose what is mutated further, by the lines that an input reached.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fuzz import mutations

MEMORY = 1 << 30  # bytes beyond what the process has when it begins
LEFT = 1 << 28  # bytes that one input may leave behind
SECONDS = 20  # that one input may take
FOLDER = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())


class Reader(NamedTuple):
    """One reader, the valid files that its inputs follow from, how these are mutated, and how often it is drawn."""

    read: Callable[[bytes], object]
    files: Callable[[], list[bytes]]
    mutate: mutations.Mutation
    share: int


def _models() -> list[Any]:
    import anabranch as ab
    from anabranch import layers, ops

    row = ab.Sequential([ab.Input((4,)), layers.Dense(3, activation="relu"), layers.BatchNormalization()])
    a, b = ab.Input((4,), name="a"), ab.Input((4,), name="b")
    shared = layers.Dense(2, kernel_regularizer="l2")
    joined = layers.Concatenate()([shared(a), shared(b), ops.relu(a[:, :2] + 1)])
    inner = ab.Sequential([ab.Input((6,)), layers.Dense(2)])
    graph = ab.Model({"a": a, "b": b}, {"y": inner(joined), "z": ops.softmax(joined, axis=-1)})
    image = ab.Input((6, 6, 1))
    x = layers.Conv2D(2, 3, padding="same")(image)
    convolutional = ab.Model(image, layers.Dense(1)(layers.Flatten()(layers.MaxPooling2D()(layers.Dropout(0.1)(x)))))
    row.compile(ab.optimizers.Adam(ab.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)), "mse", metrics=["mae"])
    return [row, graph, convolutional]


@functools.cache
def _saved(ending: str) -> list[bytes]:
    found = []
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        for model in _models():
            path = Path(folder) / f"m{ending}"
            (model.save if ending == ".keras" else model.save_weights)(path)
            found.append(path.read_bytes())
    return found


def _configs() -> list[bytes]:
    return [model.to_json().encode() for model in _models()]


def _config(data: bytes) -> object:
    from anabranch.models import model_from_json

    return model_from_json(data.decode("utf-8", "surrogateescape"))


def _archive(data: bytes) -> object:
    from anabranch.saving import archive

    return archive.read(data, "m.keras")


def _hdf5(data: bytes) -> object:
    from anabranch.saving import hdf5

    return [each.read() for each in hdf5.stored(io.BytesIO(data), "m.weights.h5").values()]


def _safetensors(data: bytes) -> object:
    from anabranch.saving import safetensors_format

    return [each.read() for each in safetensors_format.stored(io.BytesIO(data), "m.safetensors").values()]


def _whole(data: bytes) -> object:
    from anabranch.models import load_model

    with tempfile.NamedTemporaryFile(suffix=".keras", dir=FOLDER) as file:
        file.write(data)
        file.flush()
        return load_model(file.name)


READERS = {
    "config": Reader(_config, _configs, mutations.of_json, 22),
    "archive": Reader(_archive, functools.partial(_saved, ".keras"), mutations.of_zip, 26),
    "weights.h5": Reader(_hdf5, functools.partial(_saved, ".weights.h5"), mutations.of_bytes, 20),
    "safetensors": Reader(_safetensors, functools.partial(_saved, ".safetensors"), mutations.of_safetensors, 30),
    "whole": Reader(_whole, functools.partial(_saved, ".keras"), mutations.of_zip, 2),
}


def outcome(name: str, data: bytes) -> str:
    """Return "read" or "refused"; for anything else what was raised, and where."""
    from anabranch._errors import AnabranchError

    try:
        READERS[name].read(data)
    except AnabranchError:
        return "refused"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]  # of a public function the user's line, as its frames are hidden
        where = f"{Path(last.filename).name}:{last.lineno}"
        return f"{type(error).__name__} at {where}: {str(error)[:100]!r}"
    return "read"


class Run:
    """A run: bounds of memory and time, counts, findings."""

    def __init__(self, out: Path | None, memory: int = MEMORY) -> None:
        self.out, self.began = out, time.monotonic()
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in READERS}
        self.found: dict[str, int] = {}
        self.files = {name: reader.files() for name, reader in READERS.items()}
        for name, files in self.files.items():  # loads what reading needs, before the memory is bounded
            wanted = {outcome(name, data) for data in files}
            if wanted != {"read"}:
                raise AssertionError((name, wanted))
        signal.signal(signal.SIGALRM, _too_long)
        self.size = _size()
        resource.setrlimit(resource.RLIMIT_AS, (self.size + memory, resource.RLIM_INFINITY))

    def one(self, name: str, data: bytes) -> str:
        """Read an input, count the outcome and return it."""
        signal.alarm(SECONDS)
        found = outcome(name, data)
        signal.alarm(0)
        before, self.size = self.size, _size()
        if self.size - before > LEFT:  # what was loaded stays; what leaves memory behind does so again
            outcome(name, data)
            before, self.size = self.size, _size()
        if self.size - before > LEFT:
            found = f"leaves {(self.size - before) >> 20} MB behind, having been {found}"
        right = found in ("read", "refused")
        self.counts[name][found if right else "found"] += 1
        if not right:
            key = re.sub(r"\d+|'[^']*'", "…", f"{name}: {found}")
            self.found[key] = self.found.get(key, 0) + 1
            if self.found[key] == 1:
                print(f"FOUND {name}: {found}", flush=True)
                if self.out:
                    self.out.mkdir(parents=True, exist_ok=True)
                    (self.out / f"{name}-{hashlib.sha1(data).hexdigest()[:8]}").write_bytes(data)
        return found

    @property
    def count(self) -> int:
        """How many inputs there were."""
        return sum(map(Counter.total, self.counts.values()))

    def report(self) -> dict[str, Any]:
        """Return what was seen."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "inputs": self.count, "seconds": round(time.monotonic() - self.began, 1), "most memory, MB": round(most),
            "readers": {name: dict(counts) for name, counts in self.counts.items()}, "findings": self.found,
        }  # fmt: skip


def _size() -> int:
    """Return the bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _too_long(*_: object) -> None:
    raise TimeoutError(f"one input took more than {SECONDS} seconds")


def at_random(run: Run, inputs: int, seed: int) -> None:
    """Read mutations of the valid files; those that can be read are mutated further."""
    rng = random.Random(seed)
    names, shares = list(READERS), [reader.share for reader in READERS.values()]
    pools = {name: list(files) for name, files in run.files.items()}
    for name in rng.choices(names, shares, k=inputs):
        pool = pools[name]
        data = READERS[name].mutate(rng, rng.choice(pool))
        if run.one(name, data) == "read":
            if len(pool) < 200:
                pool.append(data)
            else:
                pool[rng.randrange(len(run.files[name]), len(pool))] = data


def main() -> int:
    """Fuzz, print the report, return 1 where something was found."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(prog="python -m fuzz.files", description="Fuzz the readers of files.")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1000 % 2**40)
    parser.add_argument("--guided", action="store_true", help="let atheris choose (pip install anabranch[fuzz])")
    parser.add_argument("--out", type=Path, default=None, help="a folder for inputs that were found")
    args = parser.parse_args()
    if args.guided:
        from fuzz import guided

        return guided.run(args.inputs, args.seed, args.out)
    run = Run(args.out)
    at_random(run, args.inputs, args.seed)
    return finish(run, args.seed, "at random")


def finish(run: Run, seed: int, how: str) -> int:
    """Print the report of a run."""
    print(json.dumps({"how": how, "seed": seed, **run.report()}, indent=1), flush=True)
    return 1 if run.found else 0


if __name__ == "__main__":
    sys.exit(main())
