"""``python -m nonsense ROOM …``: print the outcomes of wrong calls; ``--json FILE`` writes them; ``--sample N`` draws some."""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

from nonsense import runner
from nonsense.accepted import listed
from nonsense.rooms import ROOMS
from nonsense.values import RIGHT


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rooms", nargs="*", default=[*ROOMS])
    parser.add_argument("--only", default="", help="names that hold this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--accepted", action="store_true", help="list what is accepted, by the reasons")
    parser.add_argument("--sample", type=int, help="so many cases, drawn by --seed")
    parser.add_argument("--each", type=int, help="so many values for each argument of each name, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    runner.ready()
    targets = [target for room in asked.rooms for target in ROOMS[room]() if asked.only in target.name]
    cases = {target: list(target.cases()) for target in targets}
    if asked.sample is not None:
        everything = [(target, case) for target, found in cases.items() for case in found if case[1] != RIGHT]
        drawn = random.Random(asked.seed).sample(everything, min(asked.sample, len(everything)))
        cases = {target: [case for other, case in drawn if other is target] for target in targets}
    if asked.each is not None:
        cases = {target: target.some(asked.each, f"{asked.seed} {target.name}") for target in targets}
    outcomes = []
    for target in targets:
        for each in runner.run(target, cases[target]):
            outcomes.append(each)
            if each.kind not in ("refused", "accepted") or (each.kind != "accepted" and each.value == RIGHT) or not each.clear:
                print(f"{each.kind:8} {each.name}({each.argument}={each.value}): {each.error}", flush=True)
    if asked.accepted:
        print(listed([(e.name, e.argument, e.value) for e in outcomes if e.kind == "accepted" and e.value != RIGHT]))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(each) for each in outcomes]))
    print(runner.summed(outcomes), file=sys.stderr)


if __name__ == "__main__":
    main()
