"""Every section of every guide with real Keras and with anabranch: the same tables; on the same weights the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import guides_runner
import numpy as np
import pytest

import anabranch as ab

GUIDES = sorted(path.stem for path in guides_runner.FOLDER.glob("*.py") if path.stem != "sections")
SECTIONS = [(guide, section) for guide in GUIDES for section in guides_runner.sections(guide)]


def test_the_guides_have_sections() -> None:
    assert GUIDES
    assert {guide for guide, _ in SECTIONS} == set(GUIDES)


def test_the_comparison_sees_what_differs(keras: Any) -> None:
    def table(k: Any, units: int = 3, swapped: bool = False, frozen: bool = False) -> Any:
        x = k.Input((3,))
        y = k.layers.Dense(units, trainable=not frozen)(x)
        parts = [y, x] if swapped else [x, y]
        return guides_runner.table(k.Model(x, k.layers.Concatenate()(parts)))

    assert table(ab) == table(keras) == table(ab)
    assert table(keras, units=4) == table(ab, units=4)
    assert len({str(table(ab)), str(table(ab, units=4)), str(table(ab, swapped=True)), str(table(ab, frozen=True))}) == 4
    for mine, other in [(1.0, 1.1), ([1.0], [1.0, 1.0]), ({"a": 1.0}, {"b": 1.0}), (np.ones(2), np.ones((2, 1))), ("a", "b")]:
        with pytest.raises(AssertionError):
            guides_runner.assert_close(mine, other, 1e-5, "values")


@pytest.mark.parametrize(("guide", "section"), SECTIONS, ids=[f"{guide}-{section}" for guide, section in SECTIONS])
def test_a_section_with_keras_and_with_anabranch(keras: Any, guide: str, section: str) -> None:
    guides_runner.compare(guide, section)


def assert_runs(guide: str, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command, str(guides_runner.FOLDER / f"{guide}.py")],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "KERAS_BACKEND": "torch"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n== ") == len(guides_runner.sections(guide))


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_unchanged(guide: str) -> None:
    assert_runs(guide, "-W", "error", "-m", "anabranch", "run")


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_with_keras(guide: str) -> None:
    assert_runs(guide)
