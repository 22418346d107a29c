"""The tables and the picture of the README and of docs/speed.md, made of the figures that bench/run.py wrote.

    python bench/table.py [bench/results/FILE.json] [--write]

The tables are those of one file, the newest ``DATE-cpu.json`` unless another is named, so that no table mixes runs.
``--write`` puts them between marks of these pages, and draws docs/speed.svg: ``<!-- bench: short -->`` (five rows), ``ratios``
(all rows), ``full`` (every contender), each until ``<!-- bench: end -->``. Each row of a table that misses a peer says so.
A table is refused where a peer is missing and the file does not say why: in ``left_out`` or ``failed``, as
run.py writes them, or in ``missing`` of the work.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from chart import chart
from missing import FAMILIES, absent, unexplained

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PICTURE = ROOT / "docs" / "speed.svg"
PAGES = (ROOT / "README.md", ROOT / "docs" / "speed.md")
SHORT = (
    ("toy-train", "fit"),
    ("resnet20-train", "fit"),
    ("mlp-train", "fit"),
    ("toy-infer", "predict 64"),
    ("toy-infer", "call 1"),
)
RULE = (
    "Each peer's number is its time (or memory) over anabranch's: above 1, anabranch is better. "
    "Of each family the best is shown, with its name."
)
NONE = "–"

Row = tuple[str, ...]


def number(value: float) -> str:
    """Return three figures or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shown(work: dict[str, Any], case: str, seconds: float) -> str:
    """Return seconds as the rate or the time that people speak of."""
    amount, batch = work["cases"][case]["amount"], work["cases"][case]["batch"]
    if work["kind"] == "start":
        return f"{seconds:.3g} s"
    if work["kind"] == "build":
        return f"{number(seconds / amount * 1e6)} µs a layer"
    return f"{number(seconds / amount * 1e3)} ms" if batch == 1 else f"{number(amount / seconds)} {work['unit']}/s"


def medians(work: dict[str, Any], case: str) -> dict[str, float]:
    """Return each contender's median seconds."""
    contenders = work["cases"].get(case, {"contenders": {}})["contenders"]
    return {name: found["median"] for name, found in contenders.items()}


def peaks(work: dict[str, Any]) -> dict[str, float]:
    """Return each contender's greatest resident memory of training, in MB."""
    return {name: facts["memory_after"]["most"] for name, facts in work["facts"].items() if "memory_after" in facts}


def ratios(values: dict[str, float], families: dict[str, str], ours: float) -> Row:
    """Return for each family how many times our value its least one is, and whose that was."""
    cells = []
    for family in FAMILIES:
        rivals = {name: value for name, value in values.items() if families.get(name) == family}
        best = min(rivals, key=lambda name: rivals[name], default=None)
        cells.append(NONE if best is None else f"{rivals[best] / ours:.2f} ({best.removeprefix('keras ')})")
    return tuple(cells)


class Notes:
    """Who is missing in rows, numbered; rows that miss the same share a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def marked(self, label: str, gone: str) -> str:
        """Return a row's label with the number of its note, if peers are missing in it."""
        if not gone:
            return label
        if gone not in self.texts:
            self.texts.append(gone)
        return f"{label} [{self.texts.index(gone) + 1}]"

    def below(self) -> list[str]:
        """Return the notes as what stands below a table."""
        lines = [f"[{number}] Not measured: {text}." for number, text in enumerate(self.texts, 1)]
        return ["\\\n".join(lines)] if lines else []


def ratio_rows(results: dict[str, Any], notes: Notes) -> list[Row]:
    """Return the rows of ratios: time or memory of the best of each family over ours, so that above 1 anabranch is better."""
    rows: list[Row] = []
    families = results["families"]
    for key, work in results["work"].items():
        for label, case, theirs in pairings(work):
            ours = medians(work, case).get("anabranch")
            if ours is not None:
                rivals, label = medians(work, theirs), notes.marked(label, absent(results, key, theirs))
                rows.append((label, shown(work, case, ours), *ratios(rivals, families, ours)))
                floor = rivals.get("convolutions alone")
                if floor:
                    rows.append(
                        ("… of the speed of its convolutions alone", f"{floor / ours:.2f}", *floors(work, families, floor))
                    )
        memory = peaks(work) if work["kind"] == "train" else {}
        if "anabranch" in memory:
            ours = memory["anabranch"]
            label = notes.marked(f"{work['label']}: peak memory", absent(results, key, "fit"))
            rows.append((label, f"{number(ours)} MB", *ratios(memory, families, ours)))
    return rows


def floors(work: dict[str, Any], families: dict[str, str], floor: float) -> Row:
    """Return what part of the floor's speed the best of each family reaches."""
    found = medians(work, "fit")
    best = [min((value for name, value in found.items() if families.get(name) == family), default=None) for family in FAMILIES]
    return tuple(NONE if value is None else f"{floor / value:.2f}" for value in best)


def pairings(work: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return a label, our case and theirs for each row; only Keras's words have a predict for one example."""
    rows = []
    for case in work["cases"]:
        label = work["label"] if work["kind"] == "train" else f"{work['label']}: {case}"
        if case != "module 1":
            rows.append((label, case, case))
        if case == "predict 1":
            rows.append((f"{work['label']}: predict 1, beside call 1", case, "call 1"))
    return rows


def full_rows(work: dict[str, Any], case: str, rounds: int) -> list[Row]:
    """Return every contender of one case, best first: median, the spread, our time as a ratio, first pass, memory."""
    contenders = work["cases"][case]["contenders"]
    ours = contenders.get("anabranch", {}).get("median")
    rows = []
    for name, found in sorted(contenders.items(), key=lambda item: item[1]["median"]):
        facts = work["facts"].get(name, {})
        first, memory = facts.get("first", {}).get(case), facts.get("memory_after", {}).get("most")
        if work["kind"] == "start":
            memory = sorted(facts["parts"][case]["memory_mb"])[len(found["seconds"]) // 2]
        spread = " · ".join(f"{found[key]:.3g}" for key in ("least", "q1", "q3", "most"))
        taken = len(found["seconds"])
        rows.append(
            (
                name if taken == rounds else f"{name} ({taken} rounds)",
                shown(work, case, found["median"]),
                spread,
                f"{found['median'] / ours:.2f}" if ours else NONE,
                f"{first:.3g} s" if first else NONE,
                f"{number(memory)} MB" if memory else NONE,
            )
        )
    return rows


def markdown(head: Row, rows: list[Row]) -> str:
    """Return a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def about(results: dict[str, Any]) -> str:
    """Return one paragraph about the machine and the run."""
    machine, setting = results["machine"], results["setting"]
    versions = {name: text for each in results["versions"].values() for name, text in each.items()}
    warning = "**A quick pass: it shows that everything runs, not how fast.** " if setting["quick"] else ""
    return (
        f"{warning}Measured {results['when'][:10]} on {setting['device']}: {machine['processor']} "
        f"({', '.join(machine['flags'])}), {setting['threads']} threads, {machine['memory_gb']:.0f} GB, {machine['system']}; "
        f"{', '.join(f'{name} {text}' for name, text in sorted(versions.items()))}. Medians of {setting['rounds']} rounds"
        f"{_else(results)}."
    )


def _else(results: dict[str, Any]) -> str:
    """Return what else a reader of the figures must know: other processes, how the file came to be, works without figures."""
    load, threads = results["machine"]["load"], results["setting"]["threads"]
    found = [f"the machine's load was {load:.1f} before the run, on {threads} cores"] if load and load > threads / 2 else []
    found += [results["note"]] if "note" in results else []
    if gone := results.get("not_reached"):
        found.append(f"time ended before {', '.join(gone)}")
    return "".join(f"; {text}" for text in found)


def ratios_table(results: dict[str, Any]) -> str:
    """Return the table of ratios of all works."""
    head = ("work", "anabranch (unit in the row)", *(f"best {family}, ratio" for family in FAMILIES.values()))
    notes = Notes()
    return "\n\n".join([RULE, markdown(head, ratio_rows(results, notes)), *notes.below()])


def short(results: dict[str, Any], chosen: tuple[tuple[str, str], ...] = SHORT) -> str:
    """Return the few rows of the README, all in samples a second, who is missing in them, and where the figures are."""
    head = ("work", "anabranch, samples/s", *(f"best {family}, ratio" for family in FAMILIES.values()))
    rows, notes = [], Notes()
    for key, case in chosen:
        work = results["work"].get(key)
        if work is None or case not in work["cases"]:
            continue
        found = medians(work, case)
        rate = number(work["cases"][case]["amount"] / found["anabranch"])
        label = notes.marked(title(work, case), absent(results, key, case))
        rows.append((label, rate, *ratios(found, results["families"], found["anabranch"])))
    link = f"[{results['file']}]({source_url()}/{results['file']})"
    return "\n\n".join([RULE, markdown(head, rows), *notes.below(), f"Every figure is in {link}. {about(results)}"])


def source_url() -> str:
    """Return where the repository's files are shown, for pages that stand alone, as the README does on PyPI."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    return f"{urls['Repository']}/blob/main"


def title(work: dict[str, Any], case: str) -> str:
    """Return a case's name."""
    return work["label"] if work["kind"] == "train" else f"{work['label']}, {case}"


def full(results: dict[str, Any]) -> str:
    """Return every table, and what was left out or failed."""
    head = ("contender", "median", "a pass, s: least · q1 · q3 · most", "time over anabranch's", "first pass", "peak memory")
    parts = [about(results)]
    for key, work in results["work"].items():
        for case in work["cases"]:
            parts += [f"**{title(work, case)}** (`{key}`)", markdown(head, full_rows(work, case, results["setting"]["rounds"]))]
            if gone := absent(results, key, case):
                parts.append(f"Not measured: {gone}.")
        if work["failed"]:
            failures = (f"{name}: {shortened(error)}" for name, error in work["failed"].items())
            parts.append("Failed: " + "; ".join(failures) + ".")
    if results["left_out"]:
        parts.append("Left out: " + "; ".join(f"{name}: {reason}" for name, reason in results["left_out"].items()) + ".")
    return "\n\n".join(parts)


def shortened(error: str) -> str:
    """Return an error in one line of Markdown."""
    return "`" + " ".join(error.split())[:160].replace("`", "'").replace("|", "/") + "`"


def loaded(file: Path) -> dict[str, Any]:
    """Return the results of one file, which they name; each work knows why all peers that are missing in it are."""
    results: dict[str, Any] = json.loads(file.read_text())
    path = file.resolve()
    results["file"] = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    for work in results["work"].values():
        work["missing"] = {**results["left_out"], **work.get("missing", {})}
    return results


def newest() -> Path:
    """Return the newest file of ``make bench``."""
    found = sorted(RESULTS.glob("????-??-??-cpu.json"))
    if not found:
        raise SystemExit(f"no results in {RESULTS}: make bench writes them")
    return found[-1]


def write(results: dict[str, Any], pages: tuple[Path, ...] = PAGES) -> list[Path]:
    """Put the tables between the marks of the pages and return those that changed."""
    changed = []
    for page in pages:
        text = new = page.read_text()
        for name, table in (("short", short), ("ratios", ratios_table), ("full", full)):
            marks = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- bench: end -->)", re.DOTALL)
            if marks.search(new):
                body = table(results)
                new = marks.sub(lambda found, body=body: f"{found[1]}{body}\n{found[2]}", new)
        if new != text:
            page.write_text(new)
            changed.append(page)
    return changed


def main() -> None:
    """Print the tables, or write them into the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--write", action="store_true", help="into README.md and docs/speed.md")
    options = parser.parse_args()
    results = loaded(options.file or newest())
    if gaps := unexplained(results):
        parser.error("peers are missing and the file does not say why:\n  " + "\n  ".join(gaps))
    if options.write and (results["setting"]["quick"] or not results["file"].startswith("bench/results/")):
        parser.error(f"pages take figures of whole runs in bench/results/, which {results['file']} is not")
    if options.write:
        PICTURE.write_text(chart(results))
        print("\n".join(f"{page.name} written" for page in write(results)))
    else:
        print("\n\n".join([short(results), ratios_table(results), full(results)]))


if __name__ == "__main__":
    main()
