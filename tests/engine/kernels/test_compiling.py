"""Triton's compiler, which takes less than its interpreter, makes code for GPUs of every kernel; no GPU is needed for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="needs Triton, which the test extra brings on Linux")


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    ("capability", "activations"),
    [(90, ["relu", "gelu"]), *(pytest.param(each, [], marks=pytest.mark.slow) for each in (70, 80, 90, 100))],
)
def test_every_kernel_is_compiled_for_a_gpu(capability: int, activations: list[str], tmp_path: Path) -> None:
    """Without activations, of all."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1"}
    command = [sys.executable, str(Path(__file__).with_name("compiled_for_gpus.py")), str(capability), *activations]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found.keys() == {
        "bias_activation._forward", "bias_activation._backward", "batch_norm._gather", "batch_norm._merge", "batch_norm._apply",
        "batch_norm._sum", "batch_norm._backward", "max_pool._forward", "max_pool._backward",
    }  # fmt: skip
    for name, counts in found.items():
        narrow = counts["variants"] - counts["wide"]
        assert counts["wide"], f"{name} reads memory element by element"
        assert narrow <= 1, f"{name}: only rows of ten channels cannot be read by many bytes at a time"
