"""Places in files, in IPython's numbered cells and in a notebook's, whose files are named by a hash."""

from __future__ import annotations

import linecache
from typing import Any

import pytest

import anabranch as ab
from anabranch.graph import CallSite

CELL = "import anabranch as ab\n\n\nx = ab.Input((3,))\n"


def run(source: str, file: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    names = {} if names is None else names
    exec(compile(source, file, "exec"), names)
    return names


def test_a_file_and_its_line() -> None:
    assert str(CallSite("/home/me/model.py", 12)) == "model.py:12"
    assert str(ab.Input((3,)).node.site).startswith("test_call_site.py:")


def test_a_cell_of_ipython_in_a_terminal() -> None:
    assert str(run(CELL, "<ipython-input-3-0123456789ab>")["x"].node.site) == "In [3]:4"


@pytest.fixture
def notebook() -> Any:
    """What ipykernel does: a file named by a hash, its text in ``linecache``, the inputs so far in ``In``."""
    names: dict[str, Any] = {"In": [""], "_oh": {}}
    files: list[str] = []

    def cell(source: str) -> dict[str, Any]:
        file = f"/tmp/ipykernel_4711/{hash(source) % 2**32}.py"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        files.append(file)
        names["In"].append(source)
        return run(source, file, names)

    yield cell
    for file in files:
        linecache.cache.pop(file, None)


def test_a_cell_of_a_notebook(notebook: Any) -> None:
    assert str(notebook(CELL)["x"].node.site) == "In [1]:4"
    notebook("def block(x):\n    return ab.layers.ReLU()(x)")
    here = notebook("y = block(x)")
    assert str(here["y"].node.site) == "In [2]:2"  # where it is written, not where it is run


def test_a_cell_that_ran_twice_is_the_last_one(notebook: Any) -> None:
    for _ in range(2):
        names = notebook(CELL)
    assert str(names["x"].node.site) == "In [2]:4"


def test_a_cell_whose_text_is_not_known_is_the_one_that_runs() -> None:
    names = run(CELL, "/tmp/ipykernel_4711/99.py", {"In": ["", "a", "b"], "_oh": {}})
    assert str(names["x"].node.site) == "In [2]:4"


def test_windows_paths_and_other_files() -> None:
    inside = {"In": ["", CELL], "_oh": {}}
    assert str(run(CELL, "C:\\Temp\\ipykernel_12\\345.py", dict(inside))["x"].node.site) == "In [1]:4"
    assert str(run(CELL, "/work/ipykernel_notes.py", dict(inside))["x"].node.site) == "ipykernel_notes.py:4"
    assert str(run(CELL, "/tmp/ipykernel_12/345.py")["x"].node.site) == "345.py:4"
