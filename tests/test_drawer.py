"""Scripts in the style of the commonest tutorials, unmodified: with real Keras and with anabranch the same losses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import drawer_runner
import pytest


def test_the_drawer_is_full() -> None:
    assert len(drawer_runner.SCRIPTS) >= 8


@pytest.mark.parametrize("script", drawer_runner.SCRIPTS)
def test_a_script_with_keras_and_with_anabranch(keras: Any, script: str) -> None:
    drawer_runner.compare(script)


def assert_runs(script: str, folder: Path) -> None:
    program = (
        "import sys, runpy, drawer_data, anabranch; from anabranch import datasets\n"
        "for name, load in drawer_data.SETS.items(): getattr(datasets, name).load_data = load\n"
        "sys.argv = ['anabranch', 'run', sys.argv[1]]; runpy.run_module('anabranch', run_name='__main__')"
    )
    path = drawer_runner.FOLDER / f"{script}.py"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False, timeout=600, cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1] / 'src'}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("script", drawer_runner.SCRIPTS[:2])
def test_a_script_under_the_command(script: str, tmp_path: Path) -> None:
    assert_runs(script, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("script", drawer_runner.SCRIPTS[2:])
def test_every_script_under_the_command(script: str, tmp_path: Path) -> None:
    assert_runs(script, tmp_path)


def ran(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=500,
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_residual_network_of_keras_2_with_augmented_pictures() -> None:
    found = ran("-m", "anabranch", "run", str(drawer_runner.FOLDER / "keras2" / "resnet.py"))
    assert "test accuracy:" in found


@pytest.mark.slow
def test_transfer_learning_here_and_in_keras() -> None:
    script = str(drawer_runner.FOLDER / "transfer_learning.py")
    counts = [
        [line for line in ran(*command, script).splitlines() if line.startswith("weights")]
        for command in (("-m", "anabranch", "run"), ())
    ]
    assert counts[0] == counts[1] == ["weights that train: 2 of 262", "weights that train: 158 of 262"]
