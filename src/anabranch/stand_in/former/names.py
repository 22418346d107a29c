"""What a former module or name means today, as objects."""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from types import ModuleType, SimpleNamespace
from typing import Any

import anabranch
from anabranch.stand_in import real_tensorflow
from anabranch.stand_in.former import backend, words
from anabranch.stand_in.former.arguments import renaming
from anabranch.stand_in.former.saying import say

ABSENT: object = object()


class Joined(ModuleType):
    """A former module whose names are in several modules of today."""

    def __init__(self, name: str, places: list[object]) -> None:
        super().__init__(name)
        self._places = places
        self.__all__ = sorted({public for place in places for public in dir(place) if not public.startswith("_")})

    def __getattr__(self, name: str) -> object:
        for place in self._places:
            if name in dir(place):
                return getattr(place, name)
        raise AttributeError(name)


def path_of(module: str) -> str | None:
    """Return the path of a module of Keras's after its root; None for one of TensorFlow's own.

    >>> path_of("tensorflow.keras.layers"), path_of("keras"), path_of("tensorflow.data")
    ('layers', '', None)
    """
    root, _, path = module.partition(".")
    if root != "tensorflow":
        return path
    for prefix in ("keras", "python.keras"):
        if path == prefix or path.startswith(f"{prefix}."):
            return path[len(prefix) + 1 :]
    return None


def today(path: str) -> object:
    """Return what anabranch has by a path such as ``layers.Dense``, or ABSENT; "." is anabranch itself."""
    found: object = anabranch
    for part in path.split(".") if path != "." else ():
        try:
            value = attrgetter(part)(found)
        except AttributeError:
            return ABSENT
        if isinstance(value, ModuleType) and part not in dir(found):  # which is inside anabranch
            return ABSENT
        found = value
    return found


def module(name: str) -> object:
    """Return what serves the names of a former module, such as ``keras.layers.core``, with a warning; ABSENT if it is none."""
    if name == "tensorflow.python" and not real_tensorflow.is_installed():
        return SimpleNamespace(keras=anabranch)
    path = path_of(name)
    if path is None:
        return ABSENT
    public = words.public_path(path)
    if public != path and (not public or today(public) is not ABSENT):
        if public:
            say(name, f"keras.{public}")
        return today(public or ".")
    found = words.places(path)
    if found is None and public != path:  # a file of Keras's own that no public module is called after
        shorter = public
        while shorter and today(shorter) is ABSENT:
            shorter = shorter.rpartition(".")[0]
        found = [shorter or "."]
    there = [(place, target) for place in found or () if (target := today(place)) is not ABSENT]
    if not there:
        return ABSENT
    if public.rpartition(".")[0] not in words.MODULES:  # else it was said of the package, which is imported first
        places = ["keras" if place == "." else f"keras.{place}" for place, _ in there]
        say(name, ", ".join(places if public in words.PACKAGES else places[:1]))
    return there[0][1] if len(there) == 1 else Joined(name, [target for _, target in there])


def spellings(module_name: str, name: str) -> list[str]:
    """Return the paths under which tables may have a name of a module."""
    path = path_of(module_name)
    if path is None:
        return []
    public = words.public_path(path)
    prefixes = [public, *(words.places(path) or ())]
    return list(dict.fromkeys(name if prefix in ("", ".") else f"{prefix}.{name}" for prefix in prefixes))


def of_backend(spelling: str) -> str:
    """Return the name of a function of ``keras.backend``, "" for another path.

    >>> of_backend("backend.mean"), of_backend("layers.Dense")
    ('mean', '')
    """
    package, _, name = spelling.partition(".")
    return name if package == "backend" else ""


def served(module_name: str, name: str) -> object:
    """Return what a former name means, with a warning; ABSENT if it is none, or if what it means is not there."""
    for spelling in spellings(module_name, name):
        if (function := of_backend(spelling)) in words.BACKEND:
            return backend.function(function)
        if spelling in words.NAMES and (found := today(words.NAMES[spelling])) is not ABSENT:
            say(f"{module_name}.{name}", f"keras.{words.NAMES[spelling]}")
            return found
    return ABSENT


def instead(module_name: str, name: str) -> str | None:
    """Return what to write in the place of a name that nothing serves; None where no table has it."""
    if path_of(module_name) is None:
        return words.today_of_tensorflow(f"{module_name}.{name}".partition(".")[2])
    for spelling in spellings(module_name, name):
        if (function := of_backend(spelling)) in words.BACKEND_GONE:
            return words.BACKEND_GONE[function]
        if spelling in words.GONE:
            return words.GONE[spelling]
        if spelling in words.NAMES:
            return f"keras.{words.NAMES[spelling]}"
    return None


@functools.cache
def taking_former_arguments(spelling: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that also takes its former arguments."""
    return renaming(spelling, function)


def with_former_arguments(module_name: str, name: str, value: object) -> object:
    """Return what a module serves, a function of the table of arguments as one that takes its former ones too."""
    if callable(value) and not isinstance(value, type):
        for spelling in spellings(module_name, name):
            if spelling in words.ARGUMENTS:
                return taking_former_arguments(spelling, value)
    return value
