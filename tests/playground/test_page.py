"""The playground in a real browser: built as `make playground` does, served from a folder, driven."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Watched, served

ROOT = Path(__file__).parents[2]
PYODIDE = ROOT / ".venv-pyodide"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (PYODIDE / "node_modules" / "pyodide").is_dir() or shutil.which("node") is None:
        pytest.skip("Pyodide is not installed: `make playground` does so, by npm")
    out = tmp_path_factory.mktemp("site") / "playground"
    places = PYODIDE / "node_modules" / "pyodide", PYODIDE / "site", out
    subprocess.run([sys.executable, ROOT / "playground" / "build.py", *places], check=True)
    with served(out) as found:
        yield found


@pytest.fixture
def playground(watched: Watched, address: str) -> Iterator[Any]:
    """The page with its first example; nothing may be asked of another address, and nothing said to the console."""
    watched.page.goto(address)
    watched.page.wait_for_selector("body[data-version]", timeout=60_000)
    yield watched.page
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith(address)] == []


def change(page: Any, before: str, after: str) -> None:
    """Type a change and wait until it is seen."""
    version = page.get_attribute("body", "data-version")
    code = page.input_value("#code")
    assert before in code
    page.fill("#code", code.replace(before, after))
    page.wait_for_selector(f"body:not([data-version='{version}'])")


def view(page: Any, name: str) -> str:
    page.click(f"[role=tab][data-view={name}]")
    return str(page.inner_text("#view"))


def test_a_script_is_seen_while_it_is_typed(playground: Any) -> None:
    assert playground.locator("#view svg").count() == 1
    assert "torch" in playground.inner_text("#skipped")
    assert "223,242" in view(playground, "table")
    change(playground, "Dense(256", "Dense(512")
    assert "242,442" in view(playground, "table")
    assert "units" in view(playground, "changes")
    assert "MACs" in view(playground, "cost")
    view(playground, "lint")


def test_an_error_explains_and_goes(playground: Any) -> None:
    change(playground, '64, 3, activation="relu", padding="same")(x)\nblock_2', '64, 3, activation="relu")(x)\nblock_2')
    text = playground.inner_text("#error")
    assert "line 12" in text
    assert "height 7 and 9" in text
    assert playground.locator("#lines b").inner_text() == "12"
    change(playground, '64, 3, activation="relu")(x)\nblock_2', '64, 3, activation="relu", padding="same")(x)\nblock_2')
    assert not playground.is_visible("#error")


def test_examples_and_links(playground: Any, address: str) -> None:
    playground.select_option("#example", "two_towers")
    playground.wait_for_selector("#view svg text:has-text('embed')")
    change(playground, "64", "65")
    playground.click("#link")
    playground.wait_for_selector("#state >> text=address bar")
    link = playground.url
    assert len(link) > 100
    playground.goto("about:blank")
    playground.goto(link)
    playground.wait_for_selector("body[data-version]", timeout=60_000)
    assert "20_000, 65" in playground.input_value("#code")


def test_a_script_without_an_end_is_stopped(playground: Any) -> None:
    playground.fill("#code", "while True:\n    pass\n")
    playground.wait_for_selector("#state >> text=stopped", timeout=30_000)
    playground.fill("#code", "import keras\nmodel = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n")
    playground.wait_for_selector("#model option >> text=sequential", state="attached", timeout=60_000)


def test_the_keyboard_alone_is_enough(playground: Any) -> None:
    playground.focus("#code")
    playground.keyboard.press("Escape")
    playground.keyboard.press("Tab")
    assert playground.evaluate("document.activeElement.getAttribute('role')") == "tab"
    playground.keyboard.press("Tab")
    playground.keyboard.press("Enter")
    assert playground.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
