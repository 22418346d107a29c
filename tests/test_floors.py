"""The oldest versions are declared in ``pyproject.toml``; the docs and ``make floor`` say the same."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OLDEST = dict(re.match(r"([\w-]+)>=([\d.]+)", each).groups() for each in PROJECT["dependencies"])
PYTHON = PROJECT["requires-python"].removeprefix(">=")
TABLES = (ROOT / "docs" / "dependencies.md").read_text()


def test_the_docs_list_the_oldest_version_of_each_dependency() -> None:
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| [^|]+ \|$", TABLES, re.MULTILINE)
    assert dict(rows) == OLDEST


@pytest.mark.parametrize(("page", "sentences"), [
    ("README.md", [f"Python {PYTHON} or later"]),
    ("docs/install.md", [f"Python {PYTHON} or later", f"torch {OLDEST['torch']} or later"]),
])  # fmt: skip
def test_pages_name_the_oldest_versions(page: str, sentences: list[str]) -> None:
    text = (ROOT / page).read_text()
    found = {*re.findall(r"(?:Python|torch) [\d.]+ or later", text)}
    assert found == {*sentences}


def test_the_oldest_versions_were_tried() -> None:
    tried = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \|", TABLES, re.MULTILINE)
    assert any(torch == f"{OLDEST['torch']}.0" and python == PYTHON for torch, python in tried)


def test_make_floor_installs_the_oldest_versions() -> None:
    steps = subprocess.run(["make", "-nB", ".venv-floor/stamp"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (step,) = (line for line in steps.splitlines() if "tomllib" in line)
    _, flag, code, *_ = shlex.split(step)
    printed = subprocess.run([sys.executable, flag, code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [f"{name}=={version}" for name, version in OLDEST.items()]


def test_ruff_checks_for_the_oldest_python() -> None:
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["target-version"]
    assert target == f"py{PYTHON.replace('.', '')}"
    assert f"Programming Language :: Python :: {PYTHON}" in PROJECT["classifiers"]
