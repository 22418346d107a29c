"""The program that `make pyodide` runs in Pyodide, here."""

import subprocess
import sys
from pathlib import Path


def test_models_are_described_without_torch_and_numpy() -> None:
    program = Path(__file__).with_name("describe.py")
    lines = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in lines if line.startswith("Model:")] == ['Model: "resnet"', 'Model: "two_towers"', 'Model: "mixer"']
    assert lines.count("True") == 3, "each comes back from its JSON"
    assert lines[-1] == "neither torch nor numpy was imported"
