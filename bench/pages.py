"""How long the pages take in a headless Chromium: ``python bench/pages.py``, after ``make playground``.

Writes ``results/DATE-pages.json``: the playground (medians over loads, and over changes of the toy ResNet), and the interactive
page of a model of 5,000 boxes that do not repeat.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "bench")]
LOADS, CHANGES = 5, 20

import browser as browsers  # noqa: E402
import drawn_models  # noqa: E402
from machine import describe  # noqa: E402

TIMED = "(act) => { const begun = performance.now(); eval(act); viewer.panes[0].paint(); return performance.now() - begun; }"
ACTS = {
    "unfold all, ms": "viewer.foldAll(true)",
    "select and light up, ms": "viewer.select(viewer.panes[0], 2500)",
    "search, ms": "viewer.search('dense_4')",
    "color, ms": "viewer.setColor('params')",
    "fold one, ms": "viewer.fold(viewer.panes[0], viewer.panes[0].graph.boxes.findIndex((b) => b.group))",
}
FRAMES = """(zoom) => { const pane = viewer.panes[0], all = []; pane.camera.k = zoom;
    for (let k = 0; k < 60; k++) { pane.camera.y = k * pane.scene.h / 80; pane.paint(); all.push(pane.frames.at(-1)); }
    all.sort((a, b) => a - b); return [all[30], all[57]]; }"""


def view(browser: Any) -> dict[str, float]:
    """Measure the page of a large model."""
    model = drawn_models.large()
    begun = time.perf_counter()
    made = model.view(open=False)
    found = {"made, s": time.perf_counter() - begun, "MB": len(made.html) / 1e6}
    page = browser.new_page()
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "page.html")
        begun = time.perf_counter()
        page.goto((Path(folder) / "page.html").as_uri())
        page.wait_for_function("window.viewer && viewer.panes.every((pane) => pane.drawn !== undefined)")
        found["first drawing, s"] = time.perf_counter() - begun
        for name, act in ACTS.items():
            found[name] = page.evaluate(TIMED, act)
        page.evaluate("viewer.foldAll(true)")
        for name, zoom in (("frame while panning", 0.6), ("frame with all in sight", 0.008)):
            found[f"{name}, ms"], found[f"{name}, 95 %, ms"] = page.evaluate(FRAMES, zoom)
    page.close()
    return {name: round(value, 2) for name, value in found.items()}


def playground(browser: Any) -> dict[str, dict[str, float]]:
    """Measure from opening the playground to its first drawing, and from a change to the next drawing."""
    first: list[float] = []
    changed: list[float] = []
    with browsers.served(ROOT / "site" / "playground") as address:
        for _ in range(LOADS):
            page = browser.new_page()  # each with a cache of its own
            begun = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("#view svg", timeout=60_000)
            first.append(time.perf_counter() - begun)
            for units in range(257, 257 + CHANGES):
                version = page.get_attribute("body", "data-version")
                code = page.input_value("#code").replace(f"Dense({units - 1}", f"Dense({units}")
                page.fill("#code", code)
                page.wait_for_selector(f"body:not([data-version='{version}'])")
                changed.append(float(page.inner_text("#state").removesuffix(" ms")))
            page.close()
    return {
        "from opening the page to the first drawing, s": _spread(first),
        "from a change to the new drawing, ms": _spread(changed),
    }


def main() -> None:
    """Measure and write."""
    result: dict[str, Any] = {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe(os.cpu_count() or 1),
    }
    with browsers.started() as browser:
        result["playground"] = playground(browser)
        result["interactive page of 5,000 boxes"] = view(browser)
    print(json.dumps(result, indent=1))
    path = ROOT / "bench" / "results" / f"{datetime.date.today()}-pages.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "least": round(min(values), 2), "most": round(max(values), 2)}


if __name__ == "__main__":
    main()
