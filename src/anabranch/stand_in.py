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

ROOTS = ("keras", "tf_keras", "tensorflow")
VERSIONS = {"tensorflow": "2.20.0"}  # scripts ask whether it begins with 2
KERAS_VERSION = "3.15.1"  # the Keras whose words these are
# what tensorflow has under `anabranch run`: where the names of each module come from
TENSORFLOW = ("keras", "random")
# Keras's modules that are spelled otherwise here
ELSEWHERE = {"preprocessing": "utils", "api": ""}
ABSENT = object()


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
        if name == "__version__":
            return VERSIONS.get(self.__name__, KERAS_VERSION)
        if name == "__all__":
            return dir(self)
        if name.startswith("__"):
            raise AttributeError(name)
        if (found := sys.modules.get(f"{self.__name__}.{name}")) is not None:
            return found
        value = look_up(self._target, name)
        if value is ABSENT:
            raise MissingNameError(*refusal(self.__name__, name, self._target))
        if isinstance(value, ModuleType):
            return importlib.import_module(f"{self.__name__}.{name}")
        return value

    def __dir__(self) -> list[str]:
        return public(self._target)


class TensorFlow(ModuleType):
    """What there is of tensorflow besides tensorflow.keras."""

    @property
    def keras(self) -> ModuleType:
        """Keras."""
        return importlib.import_module("tensorflow.keras")

    @property
    def random(self) -> ModuleType:
        """The seed."""
        return importlib.import_module("tensorflow.random")


class Random(ModuleType):
    """``tensorflow.random``: its seed."""

    def set_seed(self, seed: int) -> None:
        """Set the global seed."""
        anabranch.utils.set_random_seed(seed)


def public(target: Any) -> list[str]:
    """Return the names that are a module's own to give: what it lists, else what was defined in anabranch."""
    if target is anabranch or hasattr(target, "__all__"):
        return sorted(name for name in dir(target) if name in target.__all__)
    return sorted(
        name
        for name, value in vars(target).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("anabranch")
        and not issubclass(value if isinstance(value, type) else object, AnabranchError)
    )


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
