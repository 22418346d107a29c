"""The notebook of ``examples/`` runs in a real kernel, on real images; it is saved with the outputs of this code.

``pytest --regenerate tests/test_notebook.py`` runs it as it is and saves its outputs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kernel import data_of, kinds, printed, run

PATH = Path(__file__).parents[1] / "examples" / "toy_resnet.ipynb"
SETTINGS = "EPOCHS, LIMIT = 8, 2000"
LARGEST = 300_000  # bytes of the file


@pytest.fixture(scope="module")
def saved(request: pytest.FixtureRequest, cifar10_folder: Path) -> Any:
    notebook = nbformat.read(PATH, as_version=4)
    if request.config.getoption("--regenerate"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANABRANCH_DATA", str(cifar10_folder))
            metadata = dict(notebook.metadata)
            run(notebook, PATH.parent)
            notebook.metadata = metadata
            nbformat.write(notebook, PATH)
    return notebook


@pytest.fixture(scope="module")
def executed(cifar10_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with few images and epochs."""
    notebook = nbformat.read(PATH, as_version=4)
    source = notebook.cells[1].source
    assert SETTINGS in source
    notebook.cells[1].source = source.replace(SETTINGS, "EPOCHS, LIMIT = 2, 256")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANABRANCH_DATA", str(cifar10_folder))
        return run(notebook, tmp_path_factory.mktemp("notebook"))


def code_cells(notebook: Any) -> dict[str, Any]:
    """Return the cells of code by their last line's first word."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {re.match(r"\w+( = |\.)?\w*", cell.source.splitlines()[-1])[0]: cell for cell in cells}  # type: ignore[index]


def check(notebook: Any, epochs: int) -> None:
    cells = code_cells(notebook)
    assert printed(cells["model.summary"]).startswith('Model: "toy_resnet"')
    assert "Total params: 223,242" in printed(cells["model.summary"])
    assert "<svg" in data_of(cells["model"])
    assert "(None, 9, 9, 64)" in data_of(cells["block_2_output"])
    assert kinds(cells["history = model"]) == ["display_data"]
    assert data_of(cells["history = model"]).startswith(f"<div>{epochs} epochs in ")
    assert data_of(cells["history = model"]).count("<tr>") == 1 + epochs
    assert printed(cells["print"]).startswith("ToyResnet(")
    assert data_of(cells["insight.mistakes"]).count("<img ") == 16
    assert data_of(cells["model.evaluate"], index=0).startswith("<div>Evaluate ")
    assert f"{epochs} epochs\n" in "".join(printed(cell) for cell in notebook.cells if cell.cell_type == "code")


def test_it_runs(executed: Any) -> None:
    check(executed, 2)


def test_it_is_saved_with_its_outputs(saved: Any) -> None:
    nbformat.validate(saved)
    assert PATH.stat().st_size < LARGEST
    check(saved, 8)
    counts = [cell.execution_count for cell in saved.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    accuracy = float(re.search(r"'acc': (0\.\d+)", data_of(code_cells(saved)["model.evaluate"], "text/plain"))[1])  # type: ignore[index]
    assert 0.25 < accuracy < 0.6  # by a few epochs of 2,000 images; ten epochs of all reach 0.78


def test_what_does_not_depend_on_the_machine_is_of_this_code(saved: Any, executed: Any) -> None:
    before, now = code_cells(saved), code_cells(executed)
    assert printed(before["model.summary"]) == printed(now["model.summary"])
    assert data_of(before["block_2_output"]) == data_of(now["block_2_output"])
    assert printed(before["print"]) == printed(now["print"])


def test_the_first_cell_installs_where_it_is_missing(saved: Any) -> None:
    assert "%pip install" in saved.cells[1].source
    assert not saved.cells[1].outputs
