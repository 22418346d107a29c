"""``make gpu``: parts are processes with limits; one that crashes, is late, or cannot run is named, and the others go on."""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))  # its files import each other, as when one of them is run
GPU, TABLE, PROFILE = (runpy.run_path(str(BENCH / name)) for name in ("gpu.py", "gpu_table.py", "gpu_profile.py"))
Words = Callable[[argparse.Namespace, Path], list[str]]


def python(text: str) -> Words:
    """Return the command of a part that runs some lines, which know their file as OUT."""

    def words(options: argparse.Namespace, out: Path) -> list[str]:
        return [sys.executable, "-c", f"OUT = {str(out)!r}\n{text}"]

    return words


def part(name: str, words: Words, limit: float = 300, **rest: Any) -> Any:
    return GPU["Part"](name, f"what {name} is", limit, words, **rest)


def run(parts: list[Any], out: Path, minutes: float = 2.0) -> dict[str, Any]:
    """Return what the parts found, as the file has it."""
    options = argparse.Namespace(device="cpu", quick=False, minutes=minutes)
    results: dict[str, Any] = {"device": "cpu", "clocks": {}, "parts": {}}
    GPU["run"](parts, options, GPU["written"](results, out))
    assert json.loads(out.read_text()) == results
    found: dict[str, Any] = results["parts"]
    return found


def test_what_fails_loses_nothing_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GPU["Running"].stop.__globals__, "GRACE", 1)
    child = tmp_path / "child"
    found = run(
        [
            part("crash", python("import os\nprint('before')\nos.abort()")),
            part("raise", python("open(OUT, 'w').write('[1]')\nraise ValueError('broken')")),
            part("torn", python("open(OUT, 'w').write('[1')")),
            part(
                "late",
                python(
                    "import signal, subprocess, sys, time\n"
                    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
                    "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
                    f"open({str(child)!r}, 'w').write(str(one.pid))\n"
                    "open(OUT, 'w').write('[2]')\n"
                    "time.sleep(60)"
                ),
                limit=3,
                least=1,
            ),
            part("asked", python("import time\ntry:\n  time.sleep(60)\nfinally:\n  open(OUT, 'w').write('[3]')"), 2, least=1),
            part("absent", refusing),
            part("well", python("open(OUT, 'w').write('[4]')")),
        ],
        tmp_path / "found.json",
    )
    assert {name: (each["status"], each.get("found")) for name, each in found.items()} == {
        "crash": ("failed with exit code -6", None),
        "raise": ("failed with exit code 1", [1]),
        "torn": ("done", None),
        "late": ("ended at its limit", [2]),
        "asked": ("ended at its limit", [3]),
        "absent": ("not run: no such thing here", None),
        "well": ("done", [4]),
    }
    assert found["crash"]["last lines"] == ["before"]
    assert found["raise"]["last lines"][-1] == "ValueError: broken"
    assert found["late"]["label"] == "what late is"
    assert not is_running(int(child.read_text())), "what a part started ends with it"


def refusing(options: argparse.Namespace, out: Path) -> list[str]:
    raise GPU["NotRunError"]("no such thing here")


def is_running(process: int) -> bool:
    """Return whether a process runs; one that nobody has waited for does not."""
    for _ in range(50):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
            os.kill(process, 0)
        except (OSError, ProcessLookupError):
            return False
        time.sleep(0.1)
    return True


def test_what_time_cuts_off_is_named(tmp_path: Path) -> None:
    quick = python("open(OUT, 'w').write('[5]')")
    parts = [part("first", quick, least=5), part("second", quick, least=30), part("last", quick, least=100)]
    found = run(parts, tmp_path / "found.json", minutes=107 / 60)
    assert {name: each["status"] for name, each in found.items()} == {
        "first": "cut off: no time was left",  # the last two are left what they need
        "second": "cut off: no time was left",
        "last": "done",
    }


def test_parts_beside_each_other_run_at_once(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(meeting)!r}).exists(): time.sleep(0.05)\n"
    parts = [
        part("waits", python(wait + "open(OUT, 'w').write('[6]')"), beside=True),
        part("comes", python(f"open({str(meeting)!r}, 'w').close()\nopen(OUT, 'w').write('[7]')")),
        part("after", python(f"import pathlib\nopen(OUT, 'w').write(str(pathlib.Path({str(meeting)!r}).exists()).lower())")),
    ]
    found = run(parts, tmp_path / "found.json")
    assert {name: (each["status"], each["found"]) for name, each in found.items()} == {
        "waits": ("done", [6]), "comes": ("done", [7]), "after": ("done", True),
    }  # fmt: skip
    assert list(found)[2] == "after"


def test_a_tiny_part_from_the_command_to_its_table(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--quick", "--only", "two-tower", "--peers", "torch", "torch channels_last", "--out", str(out)]
    subprocess.run([sys.executable, str(BENCH / "gpu.py"), *words], check=True, capture_output=True)
    results = json.loads(out.read_text())
    assert results["quick"]
    assert results["parts"]["two-tower"]["status"] == "done"
    assert results["versions"]["torch"]
    (row,) = results["parts"]["two-tower"]["found"]["rows"].values()
    assert len(row["contenders"]["anabranch"]["seconds"]) == len(row["contenders"]["torch"]["seconds"]) == 2
    assert "networks differ" not in row
    assert set(row["absent"]) == set(ROWS["PEERS"]) - {"torch"}, "every peer has a figure or a reason"
    assert row["profile"]["anabranch"]["steps"] == row["profile"]["torch"]["steps"] == 3
    text = out.with_suffix(".md").read_text()
    assert "not how fast" in text
    line = next(line for line in text.splitlines() if line.startswith("| two towers"))
    ratio = row["contenders"]["torch"]["median"] / row["contenders"]["anabranch"]["median"]
    assert f" {ratio:.2f} | missing |" in line
    assert "Missing: torch channels_last: has no images; keras torch: left out of this run;" in text


ROWS = runpy.run_path(str(BENCH / "gpu_rows.py"))


def test_every_row_names_every_peer_that_it_can_or_says_why_not() -> None:
    passes = runpy.run_path(str(BENCH / "gpu_passes.py"))
    refused = {}
    for row in (row for rows in ROWS["ROWS"].values() for row in rows):
        for name in ROWS["PEERS"]:
            try:
                passes["check"](row, name)
            except passes["AbsentError"] as error:
                refused[row.key, name] = str(error)
    assert all(refused.values())
    assert not [key for key in refused if key[1] == "torch" and key[0] != "predict 1"]


def test_kernels_beside_each_other_count_once() -> None:
    seen = PROFILE["summed"]([("a", 0.0, 4.0), ("b", 2.0, 6.0), ("a", 8.0, 9.0)], 20.0, 2)
    assert (seen["busy"], seen["busy_us"], seen["wall_us"], seen["kernels"]) == (7 / 20, 3.5, 10.0, 1.5)
    assert [(each["name"], each["calls"], each["us"], each["share"]) for each in seen["longest"]] == [
        ("a", 1.0, 2.5, 0.556), ("b", 0.5, 2.0, 0.444),
    ]  # fmt: skip


@pytest.mark.slow
def test_all_of_it_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--quick", "--minutes", "60", "--out", str(out)]
    subprocess.run([sys.executable, str(BENCH / "gpu.py"), *words], check=True)
    parts = json.loads(out.read_text())["parts"]
    assert {name for name, each in parts.items() if each["status"] != "done"} <= {"compile"}, (
        "which two cores may not end in time"
    )
    assert set(parts) == {each.name for each in GPU["PARTS"]}
    for name in ROWS["ROWS"]:
        assert list(parts[name]["found"]["rows"]) == [row.key for row in ROWS["ROWS"][name]]
        for row in parts[name]["found"]["rows"].values():
            assert row["contenders"]["anabranch"]["median"] > 0
            assert set(ROWS["PEERS"]) == {*row["contenders"], *row["absent"]} - {"anabranch", "anabranch jit_compile=True"}
