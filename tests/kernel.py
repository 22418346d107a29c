"""A real kernel of Jupyter that runs cells, as a notebook does."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import nbclient
import nbformat


def notebook_of(*cells: str) -> Any:
    """Return a notebook of code cells."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(textwrap.dedent(source).strip()) for source in cells]
    return notebook


def run(notebook: Any, folder: Path) -> Any:
    """Execute a notebook in a folder; its cells then have the outputs that the saved file holds."""
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources, record_timing=False).execute()
    return notebook


def kinds(cell: Any) -> list[str]:
    """Return the kind of each output of a cell."""
    return [output["output_type"] for output in cell.outputs]


def data_of(cell: Any, kind: str = "text/html", index: int = -1) -> str:
    """Return one form of one output of a cell."""
    return str(cell.outputs[index]["data"][kind])


def printed(cell: Any) -> str:
    """Return what a cell printed."""
    return "".join(output["text"] for output in cell.outputs if output["output_type"] == "stream")
