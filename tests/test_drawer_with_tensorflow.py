"""Scripts that Keras needs TensorFlow for: here under the command; what they print is what Keras prints on TensorFlow 2.21."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "text_classification": "vocabulary: 22\naccuracy above 0.9: True\nin order: True\n",
    "structured_data": "encoded: (400, 33) 1555\naccuracy above 0.85: True\n",
}


def test_every_script_is_listed() -> None:
    assert {path.stem for path in (ROOT / "examples/drawer/with_tensorflow").glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_it_prints_what_it_prints_with_keras(script: str, tmp_path: Path) -> None:
    path = ROOT / f"examples/drawer/with_tensorflow/{script}.py"
    done = subprocess.run(
        [sys.executable, "-m", "anabranch", "run", str(path)], capture_output=True, text=True, check=False, timeout=300,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == SCRIPTS[script]
