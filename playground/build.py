"""Assemble the playground: ``python playground/build.py PYODIDE DEPENDENCIES OUT``, or ``make playground``.

PYODIDE is the npm package, DEPENDENCIES a folder with anabranch's dependencies other than torch and NumPy. Python files are
compiled by Pyodide itself, so that the page need not.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = ("index.html", "page.css", "page.js", "worker.js")
PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
FIRST = "toy_resnet"
ENGINE = ("engine", "exchange", "losses", "metrics", "optimizers", "training")  # of these the page has the names alone


def _left_out(folder: str, names: list[str]) -> list[str]:
    """Return what of a folder of the package the page does without: whatever needs torch."""
    if Path(folder).name in ENGINE:
        return [name for name in names if not name.startswith("__init__.")]
    return [name for name in names if name in ("__pycache__", "py.typed")]


def build(pyodide: Path, dependencies: Path, out: Path) -> None:
    """Write the page and everything that it loads."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "pyodide").mkdir(parents=True)
    for name in PAGE:
        shutil.copy(HERE / name, out / name)
    for name in PYODIDE:
        shutil.copy(pyodide / name, out / "pyodide" / name)
    shutil.copytree(HERE / "scripts", out / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    names = sorted((path.stem for path in (HERE / "scripts").glob("*.py")), key=lambda name: (name != FIRST, name))
    (out / "scripts.json").write_text(json.dumps(names))
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder)
        shutil.copytree(HERE.parent / "src" / "anabranch", packages / "anabranch", ignore=_left_out)
        shutil.copytree(
            dependencies / "lazy_loader", packages / "lazy_loader", ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
        shutil.copy(HERE / "session.py", packages / "session.py")
        subprocess.run(["node", HERE / "compile.mjs", pyodide, packages], check=True)
        with zipfile.ZipFile(out / "packages.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(packages.rglob("*")):
                if path.is_file() and path.suffix != ".py":  # the page needs what was compiled alone
                    archive.write(path, path.relative_to(packages))


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:4]))
