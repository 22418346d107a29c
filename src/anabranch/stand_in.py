"""What makes ``import keras`` and ``from tensorflow import keras`` mean anabranch, in one process, under ``anabranch run``.

A finder at the head of ``sys.meta_path`` serves every module named ``keras``, ``tf_keras`` or ``tensorflow``, and those inside,
as a view of anabranch. Real installations of those names are neither needed nor touched.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import anabranch
from anabranch._asked import module_of
from anabranch._errors import AnabranchError


def _set_seed(seed: int) -> None:
    """Set the global seed, as ``tf.random.set_seed`` does."""
    anabranch.utils.set_random_seed(seed)


TENSORFLOW = SimpleNamespace(keras=anabranch, random=SimpleNamespace(set_seed=_set_seed))  # all there is of it
ROOTS: dict[str, Any] = {"keras": anabranch, "tf_keras": anabranch, "tensorflow": TENSORFLOW}
KERAS_VERSION = "3.15.1"  # the Keras whose words these are
TENSORFLOW_VERSION = "2.20.0"  # one that came with Keras 3; scripts ask whether it begins with 2
ELSEWHERE = {"preprocessing": "utils"}  # Keras's modules that are spelled otherwise here
ABSENT = object()


class MissingNameError(AnabranchError, AttributeError):
    """An attribute of Keras's that anabranch does not have."""


class MissingImportError(AnabranchError, ModuleNotFoundError):
    """An import of Keras's that anabranch does not have."""


class View(ModuleType):
    """One module of Keras's, its names taken from anabranch."""

    def __init__(self, name: str, target: Any) -> None:
        super().__init__(name, f"anabranch, standing in for {name}")
        self.__path__ = []
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return TENSORFLOW_VERSION if self._target is TENSORFLOW else KERAS_VERSION
        if name == "__all__":
            return dir(self)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r}, which is anabranch, has no attribute {name!r}")
        if (found := sys.modules.get(f"{self.__name__}.{name}")) is not None:
            return found
        value = look_up(self._target, name)
        if value is ABSENT:
            fact, repair = refusal(self.__name__, name, self._target)
            raise MissingNameError(fact, repair=repair)
        return importlib.import_module(f"{self.__name__}.{name}") if is_namespace(value) else value

    def __dir__(self) -> list[str]:
        return public(self._target)


def is_namespace(value: Any) -> bool:
    """Return whether a value is served as a module."""
    return isinstance(value, (ModuleType, SimpleNamespace))


def public(target: Any) -> list[str]:
    """Return the names that are a module's to give: those it lists, else those made in anabranch."""
    if isinstance(target, SimpleNamespace):
        return sorted(vars(target))
    listed = getattr(target, "__all__", None)  # modules need not list their names
    if listed is not None:
        return sorted(listed)
    made_in = {name: module_of(value) for name, value in vars(target).items()}
    return sorted(
        name
        for name, module in made_in.items()
        if not name.startswith("_") and module.startswith("anabranch.") and module != module_of(AnabranchError)
    )


def look_up(target: Any, name: str) -> Any:
    """Return what anabranch has by that name, or ABSENT; rooms that Keras has no word for stay inside."""
    if target is anabranch:
        name = ELSEWHERE.get(name, name)
    value = getattr(target, name, ABSENT)  # the name is the user's
    return ABSENT if is_namespace(value) and name not in public(target) else value


def refusal(module: str, name: str, target: Any) -> tuple[str, str]:
    """Return what to say of a name that is not there, and the nearest that is."""
    import difflib

    known = {known.lower(): known for known in public(target)}
    close, near = (difflib.get_close_matches(name.lower(), known, n=1, cutoff=cutoff) for cutoff in (0.6, 0.0))
    real = "tensorflow" if module.startswith("tensorflow") else "Keras"
    if module in ("tensorflow", "tensorflow.random"):
        fact = f"{module}.{name} is not there: anabranch replaces Keras here, and tensorflow means tensorflow.keras alone."
    else:
        fact = f"{module}.{name} is not there: anabranch replaces Keras in this process and has no {name!r}."
    if close:
        return fact, f"did you mean {known[close[0]]!r}?"
    nearest = f"the nearest name here is {known[near[0]]!r}; or " if near else ""
    return fact, f"{nearest}run the script with python and the real {real}"


class Finder:
    """Finds and makes the views."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Claim the names that Keras scripts import."""
        if name.partition(".")[0] not in ROOTS:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # a loader by duck

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the view of one module."""
        root, *parts = spec.name.split(".")
        target, module = ROOTS[root], root
        for part in parts:
            inner = look_up(target, part)
            if inner is ABSENT:
                fact, repair = refusal(module, part, target)
                raise MissingImportError(fact, repair=repair)
            if not is_namespace(inner):
                raise MissingImportError(f"{module}.{part} is no module.", repair=f"from {module} import {part}")
            target, module = inner, f"{module}.{part}"
        return View(spec.name, target)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: a view takes each name when it is asked for."""


def install() -> None:
    """Let the names mean anabranch from now on, in this process; merges stretch as Keras's do, with a warning."""
    anabranch.config.set_strict_merges(False)
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]  # a finder by duck: importlib.abc costs 13 ms
