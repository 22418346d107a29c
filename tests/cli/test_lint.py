"""``anabranch lint``: the findings of a script or file, as text and JSON, and the exit code."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from anabranch import cli

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


def test_a_script_with_an_error(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", script]) == 1
    found = capsys.readouterr()
    assert found.out.startswith(
        "good: nothing found\nAB203 error: out at nets.py:10: Dense 'out' takes softmax over an axis of size 1"
    )
    assert found.out.endswith("bad: 1 error, 1 info\n")
    assert "a line of the script" in found.err


def test_codes_models_and_json(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", f"{script}:good"]) == 0
    assert cli.main(["lint", script, "--ignore", "AB203,AB304"]) == 0
    capsys.readouterr()
    assert cli.main(["lint", f"{script}:bad", "--json", "--select=AB3"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["model"] == "bad"
    assert [(each["code"], each["line"]) for each in found["findings"]] == [("AB304", 9)]
    assert cli.main(["lint", script, "--ignore", "AB9"]) == 2
    assert cli.main(["lint", f"{script}:none"]) == 2
    assert cli.main(["lint", "--nonsense"]) == 2


def test_a_saved_model_and_its_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import anabranch as keras

    x = keras.Input((8,))
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax", name="out")(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
        model.save(tmp_path / "model.keras")
        assert cli.main(["lint", str(tmp_path / "model.keras")]) == 1
    assert "AB201 error: out" in capsys.readouterr().out
