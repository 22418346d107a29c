"""Every test draws the same numbers in each run, whatever ran before it in its process: `make fuzz` is where chance looks."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import anabranch

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")


def seed(words: str) -> None:
    """Seed all generators of the process by a text; Keras draws the seeds of its layers from Python's generator."""
    anabranch.utils.set_random_seed(zlib.crc32(words.encode()))
    if (state := sys.modules.get("keras.src.backend.common.global_state")) is not None:
        state.set_global_attribute("global_seed_generator", None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed what a test and its own fixtures draw."""
    seed(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[None]:
    """Seed what a fixture of several tests draws by its name: which of them comes first is chance where two processes share."""
    if fixturedef.scope == "function":
        return (yield)
    seed(f"{fixturedef.baseid}:{fixturedef.argname}:{getattr(request, 'param', None)!r}")
    result = yield
    seed(request.node.nodeid)
    return result
