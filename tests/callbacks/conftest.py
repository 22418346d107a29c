"""Fixtures: a seed for every test, a small model."""

from __future__ import annotations

from typing import Any

import pytest
from small_model import made

import anabranch


@pytest.fixture(autouse=True)
def seeded() -> None:
    anabranch.utils.set_random_seed(5)


@pytest.fixture
def model() -> Any:
    return made(anabranch)
