"""Which peers have no figure in a file of ``run.py``, and why."""

from __future__ import annotations

from typing import Any

from contenders import CONTENDERS
from works import WORKS

FAMILIES = {"keras": "Keras", "torch": "torch loop", "other": "others"}


def expected(key: str, kind: str, case: str, device: str) -> list[str]:
    """Return the peers that can do a work's case: Keras alone has a ``predict`` of one example."""
    net = WORKS[key.split()[0]].net
    return [
        name
        for name, peer in CONTENDERS.items()
        if peer.family in FAMILIES and kind in peer.does and device in peer.devices
        and (not peer.nets or net in peer.nets) and case != "module 1" and (case != "predict 1" or peer.family == "keras")
    ]  # fmt: skip


def missing(results: dict[str, Any], key: str, case: str) -> dict[str, str]:
    """Return the peers without a figure, and why; "" where nobody says it."""
    work = results["work"][key]
    found = {}
    for name in expected(key, work["kind"], case, results["setting"]["device"]):
        if name not in work["cases"][case]["contenders"]:
            failed = work["failed"].get(name) or work["failed"].get(f"{name}, {case}")
            found[name] = "failed" if failed else work.get("missing", {}).get(name) or results["left_out"].get(name, "")
    return found


def unexplained(results: dict[str, Any]) -> list[str]:
    """Return the figures that are not there without a reason."""
    return [
        f"{key}, {case}: {name}"
        for key, work in results["work"].items()
        for case in work["cases"]
        for name, reason in missing(results, key, case).items()
        if not reason
    ]


def absent(results: dict[str, Any], key: str, case: str) -> str:
    """Return who is missing in one sentence a reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in missing(results, key, case).items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
