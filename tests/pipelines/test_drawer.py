"""Scripts in the style of tutorials run unchanged, with applications and ``ImageDataGenerator``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRAWER = Path(__file__).parents[2] / "examples" / "drawer"


def ran(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=500,
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(DRAWER.parents[1] / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_residual_network_of_keras_2_with_augmented_pictures() -> None:
    found = ran("-m", "anabranch", "run", str(DRAWER / "keras2" / "resnet.py"))
    assert "test accuracy:" in found


@pytest.mark.slow
def test_transfer_learning_here_and_in_keras() -> None:
    script = str(DRAWER / "transfer_learning.py")
    counts = [
        [line for line in ran(*command, script).splitlines() if line.startswith("weights")]
        for command in (("-m", "anabranch", "run"), ())
    ]
    assert counts[0] == counts[1] == ["weights that train: 2 of 262", "weights that train: 158 of 262"]
