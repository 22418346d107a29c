"""Measure anabranch beside every peer that is installed, interleaved, and write the figures as JSON.

    python bench/run.py [--work toy-train …] [--peers torch "keras jax" …] [--rounds 5] [--minutes 19] [--quick] [--out FILE]

Every contender is a process of its own that stays warm; the driver asks each in turn for one timed pass, round after round, and
begins each round with another, so that a drift of the machine meets all of them alike. What is not installed is left out and
said; a contender that fails is reported with its error, and the others go on. The file is written after each work. With
``--minutes`` each work has an equal part of what is left: no round begins after it, and a work that has none is named.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from contenders import CONTENDERS
from processes import FailedError, Worker, interpreter_for, once
from report import Report
from works import WORKS, Work, named, resized

HERE = Path(__file__).parent
PAUSE = 0.3  # seconds before a pass, in which the threads of the one before go to sleep


def command(python: str, work: str, name: str, options: argparse.Namespace) -> list[str]:
    """Return what starts a contender's process."""
    words = [python, str(HERE / "worker.py"), work, name, "--device", options.device]
    words += ["--quick"] if options.quick else []
    for option in ("amount", "batch"):
        if getattr(options, option):
            words += [f"--{option}", str(getattr(options, option))]
    return words


def in_turn(names: list[str], rounds: int) -> Any:
    """Yield round and contender; each round begins with the next one."""
    for number in range(rounds):
        first = number % max(len(names), 1)
        for name in names[first:] + names[:first]:
            yield number, name


def opened(report: Report, name: str, words: list[str], patience: float) -> Worker | None:
    """Start one contender's process and note what it says of itself; None where it fails or trains another network."""
    begin = time.perf_counter()
    try:
        worker = Worker(words, os.environ | CONTENDERS[name].environment, patience)
    except FailedError as error:
        report.fail(name, error)
        return None
    for case, error in worker.facts["failed"].items():
        report.fail(f"{name}, {case}", error)
    own = {key: worker.facts[key] for key in ("parameters", "first", "memory") if key in worker.facts}
    counts = {facts.get("parameters") for facts in report.facts.values()} or {own.get("parameters")}
    if own.get("parameters") not in counts:
        report.fail(name, f"another network: {own['parameters']} parameters, not {counts}")
        worker.close()
        return None
    report.facts.setdefault(name, own)
    report.versions[name] = worker.facts["versions"]
    print(f"  {name}: ready after {time.perf_counter() - begin:.1f} s", flush=True)
    return worker


class Clock:
    """What time a run has: ``until`` for the work that is measured."""

    def __init__(self, minutes: float | None) -> None:
        self.end = time.perf_counter() + 60 * minutes if minutes else float("inf")
        self.until = self.end

    def share(self, works: int) -> bool:
        """Give the next of so many works its part of what is left; False where nothing is."""
        now = time.perf_counter()
        self.until = now + (self.end - now) / works
        return self.until > now

    def rounds(self, names: list[str], rounds: int, cases: int = 1) -> Any:
        """Yield round and contender while the next of so many cases has time; the first round is never left out."""
        now = time.perf_counter()
        until = now + (self.until - now) / cases
        for number, name in in_turn(names, rounds):
            if number and name == names[number % len(names)] and time.perf_counter() > until:
                return
            yield number, name


def measure(key: str, work: Work, pythons: dict[str, str], options: argparse.Namespace, clock: Clock) -> Report:
    """Time one work in turn: all contenders warm; or, where together they need too much memory, started anew each round."""
    report, workers = Report(work), {}
    words = {name: command(python, key, name, options) for name, python in pythons.items()}
    try:
        if not work.fresh:
            started = {name: opened(report, name, words[name], options.patience) for name in pythons}
            workers = {name: worker for name, worker in started.items() if worker}
        for place, (case, times) in enumerate(report.cases.items()):
            names = list(pythons) if work.fresh else [name for name in workers if case in workers[name].facts["ready"]]
            times.update({name: [] for name in names})
            for number, name in clock.rounds(names, options.rounds, len(report.cases) - place):
                if number > len(times[name]) or sum(times[name]) > options.long:  # it failed earlier, or took its time
                    continue
                worker = workers.get(name) or opened(report, name, words[name], options.patience)
                if worker and case in worker.facts["ready"]:
                    time_one(report, case, name, worker)
                if worker and work.fresh:
                    worker.close()
    finally:
        for worker in workers.values():
            worker.close()
    return report


def time_one(report: Report, case: str, name: str, worker: Worker) -> None:
    """Ask one contender for one pass and note what it says."""
    try:
        time.sleep(PAUSE)
        answer = worker.timed(case)
        report.cases[case][name].append(answer["stages"].get("build", answer["seconds"]))
        report.facts[name]["memory_after"] = answer["memory"]
        for stage, seconds in answer["stages"].items():
            report.note(name, case, stage, seconds)
    except FailedError as error:
        report.fail(f"{name}, {case}", error)


def start(key: str, work: Work, pythons: dict[str, str], options: argparse.Namespace, clock: Clock) -> Report:
    """Time fresh processes, in turn, from their start to their end, as the system sees them."""
    report = Report(work)
    for case, times in report.cases.items():
        names = [name for name in pythons if case == "table" or CONTENDERS[name].file != "nothing"]
        names = [name for name in names if case != "table" or CONTENDERS[name].variant != "compile"]
        times.update({name: [] for name in names})
        for number, name in clock.rounds(names, options.rounds):
            if number == len(times[name]):
                start_one(report, case, name, [*command(pythons[name], key, name, options), "--once", case])
    return report


def start_one(report: Report, case: str, name: str, words: list[str]) -> None:
    """Start one contender once and note what it took."""
    try:
        found = once(words, os.environ | CONTENDERS[name].environment)
    except FailedError as error:
        report.fail(f"{name}, {case}", error)
        return
    report.cases[case][name].append(found.pop("wall"))
    for what, value in found.items():
        report.note(name, case, what, value)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--peers", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="contenders to take")
    parser.add_argument("--without", nargs="+", choices=list(CONTENDERS), default=[], help="contenders to leave out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="for all of it; without, each work takes what it takes")
    parser.add_argument("--quick", action="store_true", help="tiny amounts: shows that everything runs, not how fast")
    parser.add_argument("--amount", type=int, help="images, pairs or rows of a training pass, e.g. 50000")
    parser.add_argument("--batch", type=int, help="another batch for training")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores that every contender may use")
    parser.add_argument("--python", nargs="+", default=[], help="more interpreters to look for peers in")
    parser.add_argument("--patience", type=float, default=900, help="seconds after which a silent contender is ended")
    parser.add_argument("--long", type=float, default=150, help="seconds of passes of one case after which no more are taken")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def limit(threads: int) -> None:
    """Give this process and all it starts so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    os.environ.update(OMP_NUM_THREADS=str(threads), BENCH_THREADS=str(threads), PYTHONWARNINGS="ignore")
    os.environ.pop("KERAS_BACKEND", None)


def present(options: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Return the interpreter of every contender that can take part, and why the others cannot."""
    near = sorted(str(path) for path in (HERE.parent / ".bench").glob("*/bin/python"))
    found = {}
    left_out = {name: "left out of this run" for name in CONTENDERS if name not in options.peers or name in options.without}
    for name in [name for name in CONTENDERS if name in options.peers and name not in options.without]:
        contender = CONTENDERS[name]
        python = interpreter_for(contender, [sys.executable, *options.python, *near])
        if options.device not in contender.devices:
            left_out[name] = f"not run on {options.device}"
        elif python is None:
            left_out[name] = f"no interpreter has {' and '.join(contender.needs)} (bench/peers.py makes one)"
        else:
            found[name] = python
    for name, reason in left_out.items():
        print(f"{name}: {reason}", flush=True)
    return found, left_out


def able(work: Work, found: dict[str, str]) -> dict[str, str]:
    """Return those who can do the work."""
    return {
        name: python
        for name, python in found.items()
        if work.kind in CONTENDERS[name].does and work.net in (CONTENDERS[name].nets or (work.net,))
    }


def main() -> None:
    """Run what was asked for."""
    options = parsed()
    limit(options.threads)
    found, left_out = present(options)
    when = datetime.datetime.now(datetime.UTC)
    saved = ("rounds", "quick", "amount", "batch", "device", "threads")
    results: dict[str, Any] = {
        "when": when.isoformat(timespec="seconds"),
        "machine": machine.describe(options.threads),
        "setting": {key: getattr(options, key) for key in saved},
        "families": {name: CONTENDERS[name].family for name in found},
        "left_out": left_out,
        "not_reached": [],
        "versions": {},
        "work": {},
    }
    quick = "-quick" if options.quick else ""
    out = options.out or HERE / "results" / f"{when:%Y-%m-%d}-{platform.node()}-{options.device}{quick}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    clock = Clock(options.minutes)
    for place, key in enumerate(options.work):
        if not clock.share(len(options.work) - place):
            results["not_reached"].append(key)
            out.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{key}: not reached in {options.minutes:g} minutes", flush=True)
            continue
        work, begin = resized(WORKS[key], options.quick, options.amount, options.batch), time.perf_counter()
        print(f"{key}: {work.label}", flush=True)
        with tempfile.TemporaryDirectory() as cache:  # what torch compiled in earlier runs must not shorten the first pass
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            report = (start if work.kind == "start" else measure)(key, work, able(work, found), options, clock)
        took = round(time.perf_counter() - begin, 1)
        results["versions"].update(report.versions)
        results["work"][named(key, options.amount, options.batch)] = report.as_data() | {"took": took}
        out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"  done in {took:.0f} s", flush=True)
    print(f"written to {out}; python bench/table.py {out} shows it")


if __name__ == "__main__":
    main()
