"""What makes ``import keras`` and ``from tensorflow import keras`` mean anabranch, in one process, under ``anabranch run``.

A finder at the head of ``sys.meta_path`` serves every module named ``keras``, ``tf_keras`` or ``tensorflow``, and those inside,
as a view of anabranch. Real installations of those names are neither needed nor touched.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

import anabranch
from anabranch._errors import AnabranchError, nearest

TENSORFLOW = ("keras", "random")  # what tensorflow has under `anabranch run`
ROOTS = ("keras", "tf_keras", "tensorflow")
VERSION = "3.15.1"  # the Keras whose words these are
# Keras's modules that are spelled otherwise here
ELSEWHERE = {"preprocessing": "utils", "api": ""}


class MissingNameError(AnabranchError, AttributeError):
    """An attribute of Keras's that anabranch does not have."""


class MissingImportError(AnabranchError, ImportError):
    """An import of Keras's that anabranch does not have."""


class View(ModuleType):
    """One module of Keras's, its names taken from anabranch."""

    def __init__(self, name: str, target: Any) -> None:
        super().__init__(name, f"anabranch, standing in for {name}")
        self.__path__ = []
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__version__",):
            raise AttributeError(name)
        if name == "__version__":
            return VERSION
        if (found := sys.modules.get(f"{self.__name__}.{name}")) is not None:
            return found
        if self._target is None and name in TENSORFLOW:
            return importlib.import_module(f"{self.__name__}.{name}")
        value = getattr(self._target, name, None) if self._target is not None else None
        if value is None:
            raise MissingNameError(*_refusal(self.__name__, name, self._target))
        if isinstance(value, ModuleType) and value.__name__.startswith("anabranch"):
            return importlib.import_module(f"{self.__name__}.{name}")
        return value

    def __dir__(self) -> list[str]:
        return sorted(dir(self._target)) if self._target is not None else ["keras"]


def _refusal(module: str, name: str, target: Any) -> tuple[str]:
    """Return what to say of a name that is not there, with the nearest that is."""
    known = [known for known in dir(target) if not known.startswith("_")] if target is not None else ["keras"]
    close = nearest(name, known)
    if module == "tensorflow":
        fact = f"tensorflow.{name} is not there: under `anabranch run` tensorflow means tensorflow.keras alone."
        repair = "use keras or torch for it, or run the script with python and the real tensorflow"
    else:
        fact = f"{module}.{name} is not there: anabranch stands in for Keras in this process and has no {name!r}."
        repair = f"did you mean {close!r}?" if close else "run the script with python and the real Keras"
    return (f"{fact}\n  repair:   {repair}",)


class Random(ModuleType):
    """``tensorflow.random``: its seed."""

    @staticmethod
    def set_seed(seed: int) -> None:
        """Set the global seed."""
        anabranch.utils.set_random_seed(seed)


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
        if root == "tensorflow":
            if not parts:
                return View(spec.name, None)
            if parts == ["random"]:
                return Random(spec.name)
            if parts[0] not in TENSORFLOW:
                raise MissingImportError(*_refusal("tensorflow", parts[0], None))
            parts = parts[1:]
        target: Any = anabranch
        for part in parts:
            inner = getattr(target, ELSEWHERE.get(part, part), None) if ELSEWHERE.get(part, part) else target
            if inner is None:
                raise MissingImportError(*_refusal(spec.name.rpartition(".")[0], part, target))
            target = inner
        if not isinstance(target, ModuleType):
            raise ModuleNotFoundError(f"No module named {spec.name!r}; {parts[-1]!r} is a name in its parent", name=spec.name)
        return View(spec.name, target)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: a view takes each name when it is asked for."""


def install() -> None:
    """Let the names mean anabranch from now on, in this process."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]  # a finder by duck: importlib.abc costs 13 ms
