"""``dir`` of a public module shows what is public and nothing else."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest

import anabranch as ab


def rooms(module: Any = ab, name: str = "anabranch", above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    yield name, module
    for inner in dir(module):
        thing = getattr(module, inner)
        if isinstance(thing, types.ModuleType) and thing.__name__.startswith("anabranch.") and thing not in (*above, module):
            yield from rooms(thing, f"{name}.{inner}", (*above, module))


ROOMS = dict(rooms())


@pytest.mark.parametrize("name", ROOMS)
def test_dir_shows_what_is_public(name: str) -> None:
    module = ROOMS[name]
    shown = dir(module)
    assert sorted(vars(module).get("__all__", shown)) == sorted(shown)
    for each in shown:
        thing = getattr(module, each)
        if isinstance(thing, types.ModuleType):
            assert thing.__name__.startswith("anabranch."), each
        elif each != "__version__":
            assert not each.startswith("_"), each
            assert str(getattr(thing, "__module__", "anabranch")).startswith("anabranch"), each


def test_every_room_is_reached() -> None:
    single = {"activations", "backend", "constraints", "dtype_policies", "edit", "initializers", "mixed_precision"}
    more = {
        "config",
        "random",
        "regularizers",
        "utils",
        "visualization",
        "distillation",
        "export",
        "distribution",
        "saving",
        "losses",
        "metrics",
        "optimizers",
        "callbacks",
        "layers",
        "ops",
    }
    assert {f"anabranch.{name}" for name in single | more} <= ROOMS.keys()
