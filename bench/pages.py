"""How long the playground takes, in a headless Chromium: ``python bench/pages.py`` after ``make playground``.

Writes ``results/DATE-playground.json``: medians over loads of the page, and over changes of the toy ResNet.
"""

from __future__ import annotations

import datetime
import json
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "bench")]
LOADS, CHANGES = 5, 20

import browser as browsers  # noqa: E402
from machine import describe  # noqa: E402


def main() -> None:
    """Measure and write."""
    first: list[float] = []
    changed: list[float] = []
    with browsers.started() as browser, browsers.served(ROOT / "site" / "playground") as address:
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
    result = {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe(2),
        "from opening the page to the first drawing, s": _spread(first),
        "from a change to the new drawing, ms": _spread(changed),
    }
    print(json.dumps(result, indent=1))
    path = ROOT / "bench" / "results" / f"{datetime.date.today()}-playground.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "least": round(min(values), 2), "most": round(max(values), 2)}


if __name__ == "__main__":
    main()
