"""The figures of one work, and how their spread is written."""

from __future__ import annotations

import statistics
from typing import Any

import machine
from works import Work


def spread(values: list[float]) -> dict[str, float]:
    """Return median, quartiles, least and greatest."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {
        "least": min(values),
        "q1": quartiles[0],
        "median": statistics.median(values),
        "q3": quartiles[2],
        "most": max(values),
    }


class Report:
    """The figures of one work."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.cases: dict[str, dict[str, list[float]]] = {case: {} for case in work.cases}
        self.facts: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.failed: dict[str, str] = {}
        self.load = machine.load()

    def fail(self, name: str, error: object) -> None:
        """Note that a contender, or one case of it, could not be timed."""
        self.failed[name] = str(error)
        print(f"  {name}: FAILED, {error}", flush=True)

    def note(self, name: str, case: str, what: str, value: float) -> None:
        """Keep one more value beside the time of a pass."""
        self.facts.setdefault(name, {}).setdefault("parts", {}).setdefault(case, {}).setdefault(what, []).append(value)

    def as_data(self) -> dict[str, Any]:
        """Return the work as JSON holds it: per second for what has an amount, seconds else."""
        cases = {}
        for name, seconds in self.cases.items():
            amount = 1 if self.work.kind == "start" else self.work.cases[name].amount
            cases[name] = {
                "amount": amount,
                "batch": self.work.cases[name].batch,
                "contenders": {who: {"seconds": values, **spread(values)} for who, values in seconds.items() if values},
            }
        heads = {"label": self.work.label, "kind": self.work.kind, "unit": self.work.unit, "load": self.load}
        return heads | {"cases": cases, "facts": self.facts, "failed": self.failed}
