"""Fuzz for some minutes: ``python -m fuzz [KIND …] [--minutes 5] [--seed N] [--cases N] [--only PATTERN]``, or ``make fuzz``.

It prints what differs from Keras without being known, each with its seed and a small script; ``--out FOLDER`` also writes the
two programs. The exit status is 1 where there was one. An interrupt (Ctrl-C, or the signal to terminate) ends with
the report of what ran until then; ``--seed`` of the next one goes on from there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

os.environ["KERAS_BACKEND"] = "torch"
ROUNDING = (
    "data and weights moved by some units of rounding move Keras's own values as far, or Keras in 64 bits has what is here"
)
warnings.simplefilter("ignore")


def main() -> int:
    """Run cases of each kind in turn until the time is over."""
    from fuzz.beside import Difference, shrunk
    from fuzz.kinds import KINDS
    from fuzz.known import known
    from fuzz.tremor import is_rounding

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Compare Anabranch with Keras on random cases.")
    parser.add_argument("kinds", nargs="*", help=f"{', '.join(KINDS)}; default: all")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first case; default: drawn from the clock")
    parser.add_argument("--cases", type=int, default=None, help="of each kind; default: as many as there is time for")
    parser.add_argument("--only", default="", help="a pattern of the functions, layers or losses to draw; other draws follow")
    parser.add_argument("--out", type=Path, default=None, help="a folder for programs that show what was found")
    parser.add_argument("--most", type=int, default=3, help="programs of one subject and way")
    args = parser.parse_args()
    kinds = args.kinds or [*KINDS]
    end, start = time.monotonic() + 60 * args.minutes, time.time_ns() // 1000 % 2**40 if args.seed is None else args.seed
    ran: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()

    def report(kind: str, seed: int, each: Difference) -> None:
        found[each.subject, each.what] += 1
        if found[each.subject, each.what] > args.most:
            return
        small = shrunk(each)
        print(f"\n{kind} {seed}: {small}", flush=True)
        if args.out:
            for library in ("anabranch", "keras"):
                args.out.mkdir(parents=True, exist_ok=True)
                (args.out / f"{kind}_{seed}_{library}.py").write_text(small.script(library), encoding="utf-8")

    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stopped.append(number))
    seed = start
    share = dict.fromkeys(kinds, 0.0)  # seconds that each kind has had
    while not stopped and time.monotonic() < end and (args.cases is None or min(ran[kind] for kind in kinds) < args.cases):
        kind = min(kinds, key=lambda each: share[each])
        if args.cases is not None and ran[kind] >= args.cases:
            share[kind] = float("inf")
            continue
        began = time.monotonic()
        for each in KINDS[kind](start + ran[kind], args.only).found:
            entry = known(each)
            if entry or is_rounding(each):
                explained[entry.reason if entry else ROUNDING] += 1
            else:
                report(kind, start + ran[kind], each)
        ran[kind] += 1
        share[kind] += time.monotonic() - began
    print(f"\nseeds from {seed}")
    for reason, count in explained.most_common():
        print(f"{count:7} known: {reason}")
    for (subject, what), count in found.most_common():
        print(f"{count:7} FOUND: {subject}: {what}")
    print(", ".join(f"{ran[kind]:,} {kind}" for kind in kinds), f"; {sum(found.values())} unexplained differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
