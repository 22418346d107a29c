"""Nonsense in, sentence out: no public call answers a wrong value with a raw error of Python's or torch's, or hangs.

``make nonsense`` draws values for each argument of each public name by a seed, the default run some calls of all.
``python -m nonsense ROOM`` (with ``PYTHONPATH=src:tests``) makes every call of one room and prints the outcomes, and
``--accepted`` lists what is accepted by the reasons in ``accepted.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nonsense.accepted import reason
from nonsense.rooms import LEFT_OUT, ROOMS, public_methods, public_names, unreached
from nonsense.values import RIGHT

ROOT = Path(__file__).parents[2]
SOME = 3  # calls of each room in the default run
SEED = 2026
EACH = 2  # values for each argument of each name in the slow run
LEAST = 5_000  # calls of the slow run


def outcomes(folder: Path, rooms: list[str], *options: str) -> list[dict[str, Any]]:
    """Return what comes of calls, made by a process of its own, from which children are made."""
    found = folder / "found.json"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}", "NONSENSE_FOLDER": str(folder)}
    command = [sys.executable, "-m", "nonsense", *rooms, "--json", str(found), *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    made: list[dict[str, Any]] = json.loads(found.read_text())
    return made


def bad(found: list[dict[str, Any]]) -> list[str]:
    """Return the calls that were answered badly, and the right ones that were refused."""
    return [
        f"{each['name']}({each['argument']}={each['value']}): {each['kind']}: {each['error']}"
        for each in found
        if each["kind"] not in ("refused", "accepted") or (each["value"] == RIGHT and each["kind"] != "accepted")
    ]


def accepted(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    taken = [each for each in found if each["kind"] == "accepted" and each["value"] != RIGHT]
    return [(each["name"], each["argument"], each["value"]) for each in taken]


def test_some_nonsense(tmp_path: Path) -> None:
    found = outcomes(tmp_path, [*ROOMS], "--sample", str(SOME * len(ROOMS)), "--seed", str(SEED))
    assert len(found) == SOME * len(ROOMS)
    assert bad(found) == []
    assert [case for case in accepted(found) if reason(*case) is None] == []


@pytest.mark.slow
def test_each_argument_of_each_name(tmp_path: Path) -> None:
    found = outcomes(tmp_path, [*ROOMS], "--each", str(EACH), "--seed", str(SEED))
    assert sum(each["value"] != RIGHT for each in found) >= LEAST
    assert bad(found) == []
    assert [case for case in accepted(found) if reason(*case) is None] == []


def test_every_public_name_is_called() -> None:
    called = {target.name.split("(")[0].split(" ")[0] for make in ROOMS.values() for target in make()}
    assert len(public_names()) > 500
    missing = [names for names in public_names() if not names & (called | LEFT_OUT.keys())]
    assert missing == []
    assert called & LEFT_OUT.keys() == set()


def test_every_argument_of_every_public_method_is_given() -> None:
    assert len(public_methods()) > 100
    assert unreached() == {}
