"""The readers of files, given what is no valid file: they read it or refuse it with one of our errors, in bounded memory.

``make fuzz-files`` reads a million; see ``docs/contributing.md``.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import files
from hypothesis import HealthCheck, given, settings, strategies as st

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.on_cpu
def test_some_inputs() -> None:
    done = run("-W", "ignore", "-m", "fuzz.files", "--inputs", "1000", "--seed", "1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["inputs"] == 1000
    assert all(counts["refused"] for counts in report["readers"].values()), report
    assert sum(counts.get("read", 0) for counts in report["readers"].values()) > 10, report


@pytest.mark.on_cpu
def test_guided_by_coverage() -> None:
    pytest.importorskip("atheris", reason="atheris is in the extra fuzz")
    done = run("-W", "ignore", "-m", "fuzz.files", "--inputs", "300", "--seed", "1", "--guided")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert '"inputs": 300' in done.stdout


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*files.READERS]), st.integers(0, 2), st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore")
@pytest.mark.on_cpu
def test_mutations_that_shrink(name: str, which: int, rng: random.Random) -> None:
    reader = files.READERS[name]
    valid = reader.files()
    found = files.outcome(name, reader.mutate(rng, valid[which % len(valid)]))
    assert found in ("read", "refused")


def test_what_a_reader_raises_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setitem(files.READERS, "config", files.READERS["config"]._replace(read=fails))
    assert files.outcome("config", b"{}").startswith("KeyError at test_files.py:")


LIMITED = """
import resource, sys
import h5py, pytest, torch
import anabranch.models, anabranch.saving
from pathlib import Path

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (768 << 20), resource.RLIM_INFINITY))
sys.exit(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.on_cpu
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts memory as Linux does")
def test_hostile_files_in_little_memory() -> None:
    done = run(
        "-c", LIMITED, str(ROOT / "tests" / "saving" / "test_hostile_files.py"), "--rootdir", str(ROOT), "--device", "cpu"
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
