"""The Markdown of what ``gpu.py`` found: every row with every peer or the reason why it is missing."""

from __future__ import annotations

import statistics
from typing import Any


def lines_of(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *rows))


def markdown(results: dict[str, Any]) -> str:
    """Return all of it."""
    parts = [about(results), ended(results)]
    rows = {
        key: row for part in results["parts"].values() for key, row in ((part.get("found") or {}).get("rows") or {}).items()
    }
    if rows:
        parts.append(overview(rows))
        parts += [full(row) for row in rows.values()]
    for name in ("airbench-muon", "airbench"):
        if found := (results["parts"].get(name) or {}).get("found"):
            parts.append(airbench(found))
    for name in ("resnet20-epochs", "resnet20-long"):
        if found := (results["parts"].get(name) or {}).get("found"):
            parts.append(epochs(found))
    for name in ("tests-gpu", "tests"):
        if found := (results["parts"].get(name) or {}).get("found"):
            parts.append(tests(name, found))
    return "\n\n".join(parts) + "\n"


def about(results: dict[str, Any]) -> str:
    """Return what it ran on, and what was missing there."""
    facts = results["machine"]
    where = ", ".join(
        f"{key} {facts[key]}" for key in ("gpu", "gpu_memory_gb", "driver_version", "cuda", "cudnn") if key in facts
    )
    warning = "**A quick pass: it shows that everything runs, not how fast.** " if results["quick"] else ""
    versions = ", ".join(f"{name} {text}" for name, text in results["versions"].items())
    missing = "; ".join(f"{name} ({what})" for name, what in results["missing"].items()) or "nothing"
    return (
        f"{warning}{results['when'][:10]}, commit {results['commit'] or 'unknown'}, on {results['device']}: "
        f"{where or facts['processor']}; "
        f"{facts['threads']} threads; {versions}. Not installed: {missing}."
    )


def ended(results: dict[str, Any]) -> str:
    """Return how each part ended."""
    rows = [(name, part["label"], part["status"], f"{part['seconds']:.0f} s" if "seconds" in part else "–")
            for name, part in results["parts"].items()]  # fmt: skip
    return lines_of(("part", "what", "ended", "time"), rows)


def cell(row: dict[str, Any], seconds: float) -> str:
    """Return a pass as milliseconds a step, or a call, and samples a second."""
    calls = row["batch"] == 1
    steps = row["amount"] if calls else -(-row["amount"] // row["batch"])
    each = f"{seconds / steps * 1e3:.3g} ms"
    return each if calls else f"{each}, {row['amount'] / seconds:,.0f} {row['unit']}/s"


def medians(row: dict[str, Any]) -> dict[str, float]:
    """Return the median seconds of those that were timed."""
    return {name: each["median"] for name, each in row["contenders"].items() if "median" in each}


def overview(rows: dict[str, dict[str, Any]]) -> str:
    """Return one line a row: anabranch, and each peer's time over it, or that it is missing."""
    peers = list(
        dict.fromkeys(name for row in rows.values() for name in (*row["contenders"], *row["absent"]) if "anabranch" not in name)
    )
    table = []
    for row in rows.values():
        found = medians(row)
        ways = [name for name in row["asked"] if "anabranch" in name]
        for way in ways:
            ours = found.get(way)
            label = row["label"] + (f", {way.removeprefix('anabranch ')}" if " " in way else "")
            ratios = (f"{found[name] / ours:.2f}" if ours and name in found else "missing" for name in peers)
            table.append((label, cell(row, ours) if ours else "missing", *ratios))
    return "Each peer's time over anabranch's: above 1, anabranch is faster.\n\n" + lines_of(
        ("row", "anabranch", *peers), table
    )


def full(row: dict[str, Any]) -> str:
    """Return a row's contenders, best first, who is missing and why, and where the time of a step goes."""
    found = medians(row)
    ours = found.get("anabranch")
    table = []
    for name in sorted(found, key=lambda name: found[name]):
        each = row["contenders"][name]
        spread = " · ".join(f"{each[key] * 1e3:.3g}" for key in ("least", "q1", "q3", "most"))
        ratio = f"{found[name] / ours:.2f}" if ours else "–"
        table.append((name, cell(row, found[name]), spread, ratio, str(len(each["seconds"])), f"{each['first']:.2g} s"))
    head = ("contender", "median", "a pass, ms: least · q1 · q3 · most", "time over anabranch's", "rounds", "first pass")
    parts = [f"**{row['label']}**", lines_of(head, table)]
    reasons = dict.fromkeys((name for name in row["asked"] if name not in found), "the part was ended before") | row["absent"]
    if reasons:
        parts.append("Missing: " + "; ".join(f"{name}: {clean(reason)}" for name, reason in reasons.items()) + ".")
    if "networks differ" in row:
        parts.append(f"**The networks differ**: {row['networks differ']} parameters.")
    return "\n\n".join([*parts, *(profile(name, each) for name, each in row["profile"].items())])


def profile(name: str, seen: dict[str, Any]) -> str:
    """Return where a contender's step spends its time."""
    if "failed" in seen:
        return f"Profile of {name}: failed, {clean(seen['failed'])}."
    head = (
        f"Profile of {name}: {seen['wall_us']:,.0f} µs a step while profiled, {seen['busy']:.0%} of it in kernels "
        f"({seen['kernels']:.0f} a step, {seen['busy_us']:,.0f} µs); the longest:"
    )
    rows = [
        (f"`{each['name']}`", f"{each['calls']:g}", f"{each['us']:.1f}", f"{each['share']:.0%}") for each in seen["longest"]
    ]
    return head + "\n\n" + lines_of(("kernel", "a step", "µs a step", "share"), [(clean(a), b, c, d) for a, b, c, d in rows])


def clean(text: str) -> str:
    """Return a text that may be in a table."""
    return text.replace("|", "/").replace("\n", " ")


def airbench(found: dict[str, Any]) -> str:
    """Return each contender's seconds and accuracy."""
    rows = [
        (
            name,
            f"{statistics.mean(each['seconds']):.2f} s",
            f"{min(each['seconds']):.2f} – {max(each['seconds']):.2f}",
            f"{statistics.mean(each['accuracy']):.2%}",
            str(len(each["seconds"])),
        )
        for name, each in found["contenders"].items()
        if each["seconds"]
    ]
    title = f"**{found['design']}**, {found['data']}"
    return title + "\n\n" + lines_of(("contender", "mean", "least – most", "mean accuracy", "runs"), rows)


def epochs(found: dict[str, Any]) -> str:
    """Return the seconds and the accuracy of a training."""
    done = len(found["seconds"])
    accuracy = f"test accuracy {found['accuracy'][-1]:.2%}" if found["accuracy"] else "not yet tested"
    middle = statistics.median(found["seconds"])
    return (
        f"**{found['label']}**, {found['data']}: {done} of {found['epochs']} epochs, {middle:.2f} s an epoch (median; "
        f"{middle / found['steps'] * 1e3:.3g} ms a step, the first epoch {found['seconds'][0]:.2f} s), "
        f"{accuracy}; the most memory on the device {found['memory_mb']:,.0f} MB."
    )


def tests(name: str, found: dict[str, Any]) -> str:
    """Return counts, the errors that were met, and which tests failed."""
    counts = ", ".join(f"{count} {what}" for what, count in found["counts"].items()) or "none ran"
    parts = [f"**{name}**: {counts}, in {found['seconds']} s."]
    if found.get("errors"):
        parts.append(lines_of(("error", "tests"), [(clean(text), str(count)) for text, count in found["errors"].items()]))
    if found["failed"]:
        parts.append(
            "Failed: " + ", ".join(f"`{each}`" for each in found["failed"][:40]) + ("…" if len(found["failed"]) > 40 else "")
        )
    return "\n\n".join(parts)
