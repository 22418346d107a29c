"""Random cases beside real Keras: nothing differs but what is known, and what is known still differs.

``make fuzz MINUTES=…`` goes on with new seeds; see ``docs/contributing.md``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = {"graphs": (2000, 12), "layers": (2000, 12), "functions": (2017, 100), "training": (2000, 12)}  # from a seed, so many


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", CASES)
def test_some_cases(kind: str) -> None:
    seed, count = CASES[kind]
    done = run("-m", "fuzz", kind, "--seed", str(seed), "--cases", str(count), "--minutes", "5")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert f"{count} {kind}" in done.stdout


STALE = r"""
import json, re
from fuzz.beside import play
from fuzz.known import KNOWN, known

stale = []
for entry in KNOWN:
    if entry.shown and entry.holds:
        called = re.findall(r"keras[.](losses|ops|layers)[.]([\w.]+)", " ".join(entry.shown))
        room, name = next((each for each in called if each[0] == "losses"), called[0])
        pair = play(f"training with {name}" if room == "losses" else f"{room}.{name}", entry.shown)
        if not any(known(each) is entry for each in pair.found):
            stale.append([entry.reason, [str(each) for each in pair.found]])
print(json.dumps(stale))
"""


def test_what_is_known_still_differs() -> None:
    done = run("-W", "ignore", "-c", 'import os; os.environ["KERAS_BACKEND"] = "torch"' + STALE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_what_is_mended_in_keras_is_wrong_there() -> None:
    program = """
import os; os.environ["KERAS_BACKEND"] = "torch"
from fuzz import mended
from fuzz.beside import play
for mend in mended.MENDS:
    lines = [*mend.shown, "#: same y"]
    assert not play("mended", lines).found, mend.shown
    with mended.undone():
        assert [each.what for each in play("not mended", lines).found] == ["values"], mend.shown
"""
    done = run("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr


def test_a_difference_is_found_and_shown_by_few_lines() -> None:
    program = """
import os; os.environ["KERAS_BACKEND"] = "torch"
from fuzz.beside import play, shrunk
from fuzz.known import known
pair = play("ops.add", ["a = 1", "x = draw(0, 'float32', (2,))", "y = x + len(keras.__name__)", "#: same y"])
(found,) = pair.found
assert known(found) is None and found.what == "values"
assert shrunk(found).lines == ["x = draw(0, 'float32', (2,))", "y = x + len(keras.__name__)", "#: same y"]
"""
    done = run("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr


def test_rounding_is_no_difference() -> None:
    program = """
import os; os.environ["KERAS_BACKEND"] = "torch"
from fuzz.beside import play
from fuzz.tremor import is_rounding
for line, wanted in (("y = (x - 1) * 1e6 + len(keras.__name__) / 100", True), ("y = x + len(keras.__name__) / 100", False)):
    (found,) = play("ops.add", ["x = draw(0, 'float32', (2,), 1.0, 1.000001)", line, "#: same y"]).found
    assert is_rounding(found) is wanted, line
"""
    done = run("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr


def test_what_keras_has_in_64_bits_is_no_difference() -> None:
    program = """
import os; os.environ["KERAS_BACKEND"] = "torch"
from fuzz.beside import play
from fuzz.tremor import is_rounding
far = "far = 1e8 * (len(keras.__name__) == 5)"
for line, wanted in (("y = (x + far) - far", True), ("y = x + far", False)):
    (found,) = play("ops.add", ["x = draw(0, 'float32', (2,))", far, line, "#: same y"]).found
    assert is_rounding(found) is wanted, line
"""
    done = run("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr


def test_what_is_computed_here_is_described_here() -> None:
    program = """
import os; os.environ["KERAS_BACKEND"] = "torch"
from fuzz.beside import play
here = "keras.__name__ == 'anabranch'"
lines = [f"y = 1 if {here} else len(1)", f"s = keras.ops.squeeze(keras.Input((3,)), 1) if {here} else keras.Input((3,))"]
assert [each.what for each in play("ops.squeeze", lines).found] == ["refused"]
"""
    done = run("-W", "ignore", "-c", program)
    assert done.returncode == 0, done.stderr
