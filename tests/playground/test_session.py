"""What the playground's Python returns of a script; the page itself is in ``test_page.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "playground"
SCRIPTS = sorted((FOLDER / "scripts").glob("*.py"))
MODEL = """\
import keras
x = keras.Input((4,), name="x")
model = keras.Model(x, keras.layers.Dense({units}, name="head")(x), name="net")
"""
CHILD = """\
import json, sys
sys.path.insert(0, sys.argv[1])
import session
session.ABSENT = ("no_such_package",)
here = session.start()
print(json.dumps([getattr(here, method)(*given) for method, *given in json.load(sys.stdin)]))
"""


def session(*calls: tuple[str, ...]) -> list[Any]:
    """Return what the calls of a session's methods give, in a process of its own: there ``import keras`` means anabranch."""
    command = [sys.executable, "-c", CHILD, str(FOLDER)]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [result and json.loads(result) for result in json.loads(done.stdout)]


def changes(seen: dict[str, Any]) -> str:
    (model,) = seen["models"]
    return str(model["changes"])


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    codes = [path.read_text().partition("# From here on torch is needed")[0] for path in SCRIPTS]
    return dict(zip((path.stem for path in SCRIPTS), session(*(("run", code) for code in codes)), strict=True))


@pytest.mark.parametrize("name", [path.stem for path in SCRIPTS])
def test_every_example_is_described(examples: dict[str, dict[str, Any]], name: str) -> None:
    found = examples[name]
    if name == "wrong_join":
        assert "(None, 30, 30, 64)" in found["error"]["text"]
        assert "layers.add" in (FOLDER / "scripts" / "wrong_join.py").read_text().splitlines()[found["error"]["line"] - 1]
        assert found["models"] == []
        return
    assert found["error"] is None
    for model in found["models"]:
        views = {view: model[view] for view in ("drawing", "table", "cost", "lint")}
        assert not [view for view, html in views.items() if "class='failed'" in html], views
        assert model["drawing"].lstrip().startswith("<svg")
        assert model["params"] > 0


def test_what_is_absent_is_skipped_with_what_follows_from_it() -> None:
    code = "import no_such_package.inner as package\ndata = package.zeros(3)\ndoubled = data + data\n"
    (found,) = session(("run", code + MODEL.format(units=2) + "doubled.mean()\n"))
    assert found["skipped"] == [[2, 2, "no_such_package"], [3, 3, "no_such_package"], [7, 7, "no_such_package"]]
    assert [model["name"] for model in found["models"]] == ["net"]


def test_errors_have_the_script_s_line() -> None:
    syntax, division, exits = session(
        ("run", "x = 1\ny = (\n"), ("run", "print('a')\nprint('b')\n1 / 0\n"), ("run", "raise SystemExit(3)")
    )
    assert syntax["error"]["line"] == 2
    assert division["printed"] == "a\nb\n"
    assert division["error"] == {"kind": "ZeroDivisionError", "text": "division by zero", "line": 3}
    assert exits["error"]["kind"] == "SystemExit"


def test_versions_are_compared_with_the_one_before_or_the_pinned() -> None:
    two, three, four, five, six = (("run", MODEL.format(units=units)) for units in range(2, 7))
    first, changed, again, _, pinned, fourth, fifth, _, other = session(
        two, three, three, ("pin",), three, four, five, ("forget",), six
    )
    assert changes(first) == ""
    assert "units" in changes(changed)
    assert "units" in changes(again), "the same version again is compared with what was before it"
    assert changes(pinned) == ""
    assert "units=3" in changes(fourth)
    assert "units=3" in changes(fifth), "a pinned version stays"
    assert changes(other) == ""
