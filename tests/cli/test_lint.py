"""``anabranch lint``: the findings of a script or file, as text and JSON, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import anabranch as keras

SCRIPT = """
import keras
from keras import layers

print("a line of the script")
x = keras.Input((8,), name="x")
hidden = layers.Dense(4, activation="relu", name="hidden")(x)
good = keras.Model(x, layers.Dense(2)(hidden), name="good")
again = layers.Activation("relu", name="again")(hidden)
bad = keras.Model(x, layers.Dense(1, activation="softmax", name="out")(again), name="bad")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(SCRIPT)
    return str(tmp_path / "nets.py")


def lint(*arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "anabranch", "lint", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_script_with_an_error(script: str) -> None:
    code, out, err = lint(script)
    assert code == 1
    assert out.startswith(
        "good: nothing found\nAB203 error: out at nets.py:10: Dense 'out' takes softmax over an axis of size 1"
    )
    assert out.endswith("bad: 1 error, 1 info\n")
    assert "a line of the script" in err


def test_codes_models_and_json(script: str) -> None:
    code, out, _ = lint(f"{script}:bad", "--json", "--select=AB3")
    (found,) = json.loads(out)
    assert (code, found["model"]) == (0, "bad")
    assert [(each["code"], each["line"]) for each in found["findings"]] == [("AB304", 9)]
    assert lint(script, "--ignore", "AB203,AB304")[:2] == (0, "good: nothing found\nbad: nothing found\n")
    code, _, err = lint(script, "--ignore", "AB9")
    assert (code, "Unknown code 'AB9'" in err) == (2, True)
    assert lint(f"{script}:none")[0] == 2


def test_a_saved_model_and_its_loss(tmp_path: Path) -> None:
    x = keras.Input((8,))
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax", name="out")(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "model.keras")
    code, out, _ = lint(tmp_path / "model.keras")
    assert code == 1
    assert "AB201 error: out" in out
