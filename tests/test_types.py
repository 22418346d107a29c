"""A user's program, ``tests/typed/user.py``, under mypy and Pyright: its marked lines are reported, and no others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USER = Path(__file__).parent / "typed" / "user.py"
MARK = "# expect-error"

NOT_YET: dict[str, str] = {}  # a line: the checkers that are wrong about it. An entry goes when it holds


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy() -> dict[int, str]:
    """Return the first error of each line."""
    output = run(
        "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'user'}", "--no-error-summary", str(USER)
    )
    found: dict[int, str] = {}
    for line, message in re.findall(r"user\.py:(\d+): error: (.*)", output):
        found.setdefault(int(line), message)
    return found


def pyright() -> dict[int, str]:
    """Return the first error of each line."""
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(USER))
    found: dict[int, str] = {}
    for each in json.loads(output)["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(each["range"]["start"]["line"] + 1, each["message"])
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_program(checker: str) -> None:
    lines = USER.read_text().splitlines()
    found = {"mypy": mypy, "pyright": pyright}[checker]()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith(MARK)}
    assert expected
    wrong = {lines[number - 1].strip(): found.get(number, "no error") for number in expected ^ found.keys()}
    not_yet = {line for line, checkers in NOT_YET.items() if checker in checkers.split()}
    new = {line: message for line, message in wrong.items() if line not in not_yet}
    assert not new, "\n".join(f"{line}\n    {message}" for line, message in new.items())
    assert not_yet <= wrong.keys(), f"These hold now; take them from NOT_YET: {sorted(not_yet - wrong.keys())}"
