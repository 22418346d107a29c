"""What the playground's Python returns of a script; the page itself is in ``test_page.py``."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch import stand_in

FOLDER = Path(__file__).parents[2] / "playground"
SCRIPTS = sorted((FOLDER / "scripts").glob("*.py"))
MODEL = """\
import keras
x = keras.Input((4,), name="x")
model = keras.Model(x, keras.layers.Dense({units}, name="head")(x), name="net")
"""


@pytest.fixture
def module() -> Iterator[Any]:
    """The session's module, where ``import keras`` means anabranch."""
    spec = importlib.util.spec_from_file_location("session", FOLDER / "session.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    stand_in.install()
    yield found
    stand_in.uninstall()


def seen(session: Any, code: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(session.run(code))
    return result


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_example_is_described(module: Any, path: Path) -> None:
    code = path.read_text().partition("# From here on torch is needed")[0]
    found = seen(module.Session(), code)
    if path.stem == "wrong_join":
        assert "(None, 30, 30, 64)" in found["error"]["text"]
        assert "layers.add" in code.splitlines()[found["error"]["line"] - 1]
        assert found["models"] == []
        return
    assert found["error"] is None
    for model in found["models"]:
        views = {name: model[name] for name in ("drawing", "table", "cost", "lint")}
        assert not [name for name, html in views.items() if "class='failed'" in html], views
        assert model["drawing"].lstrip().startswith("<svg")
        assert model["params"] > 0


def test_what_is_absent_is_skipped_with_what_follows_from_it(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABSENT", ("no_such_package",))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, module.Finder()])
    code = "import no_such_package.inner as package\ndata = package.zeros(3)\ndoubled = data + data\n"
    found = seen(module.Session(), code + MODEL.format(units=2) + "doubled.mean()\n")
    assert found["skipped"] == [[2, 2, "no_such_package"], [3, 3, "no_such_package"], [7, 7, "no_such_package"]]
    assert [model["name"] for model in found["models"]] == ["net"]


def test_errors_have_the_script_s_line(module: Any) -> None:
    session = module.Session()
    assert seen(session, "x = 1\ny = (\n")["error"]["line"] == 2
    found = seen(session, "print('a')\nprint('b')\n1 / 0\n")
    assert found["printed"] == "a\nb\n"
    assert found["error"] == {"kind": "ZeroDivisionError", "text": "division by zero", "line": 3}
    assert seen(session, "raise SystemExit(3)")["error"]["kind"] == "SystemExit"


def test_versions_are_compared_with_the_one_before_or_the_pinned(module: Any) -> None:
    session = module.Session()

    def changes(units: int) -> str:
        (model,) = seen(session, MODEL.format(units=units))["models"]
        return str(model["changes"])

    assert changes(2) == ""
    assert "units" in changes(3)
    assert "units" in changes(3), "the same version again is compared with what was before it"
    session.pin()
    assert changes(3) == ""
    assert "units=3" in changes(4)
    assert "units=3" in changes(5), "a pinned version stays"
    session.forget()
    assert changes(6) == ""
