"""``dir`` of a public module shows what is public and nothing else."""

from __future__ import annotations

import functools
import inspect
import operator
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


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """What a public class of ours, or a base of it that is ours, defines."""
    for name in filter(lambda name: not name.startswith("_"), dir(kind)):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        value = vars(owner)[name]
        if owner.__module__.startswith("anabranch") and hasattr(type(value), "__get__"):
            yield f"{owner.__module__}.{owner.__qualname__}.{name}", value


def says_nothing(thing: Any) -> bool:
    doc = inspect.getdoc(thing) or ""
    # as a property or a partial function shows where nobody wrote anything
    return not doc.strip() or doc.startswith(("attrgetter(", "Create a new function", "partial("))


def test_everything_public_says_what_it_is() -> None:
    public = {f"{room}.{name}": getattr(module, name) for room, module in ROOMS.items() for name in dir(module)}
    kinds = {thing for thing in public.values() if isinstance(thing, type)}
    found = {name: thing for name, thing in public.items() if callable(thing)}
    found |= {name: thing for kind in kinds for name, thing in members(kind)}
    assert len(found) > 3500
    assert [name for name, thing in found.items() if says_nothing(thing)] == []
    settings = [each for kind in kinds for each in getattr(kind, "_order_", ()) if getattr(kind, each.name) is each]
    assert [each for each in settings if not each.doc or inspect.getdoc(each) != each.doc] == []
    assert len(settings) > 1000
    assert inspect.getdoc(ab.layers.Dense.kernel) == "The weight ``kernel``; None until it is made."
    assert all(map(says_nothing, (property(operator.attrgetter("x")), functools.partial(print), lambda: None)))
