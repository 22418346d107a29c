"""The finder at the head of ``sys.meta_path``: modules of Keras's are views, those of an installed TensorFlow its own."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType

from anabranch.stand_in import children, real_tensorflow
from anabranch.stand_in.former import names, teaching
from anabranch.stand_in.views import ABSENT, ROOTS, MissingImportError, View, is_namespace, is_tensorflow, look_up, refusal

_WITHOUT_TENSORFLOW = "tensorboard.compat.notf"  # where it exists, TensorBoard takes its own stub and imports no TensorFlow


class Finder:
    """Finds and makes the views."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Claim the names that Keras scripts import."""
        if name in children.MODULES:
            return children.spec(name)
        if name == _WITHOUT_TENSORFLOW and not real_tensorflow.is_installed():
            return importlib.machinery.ModuleSpec(name, _Loaded(ModuleType(name)))  # type: ignore[arg-type]  # a loader by duck
        if name.partition(".")[0] not in ROOTS:
            return None
        if is_tensorflow(name) and names.path_of(name) is None:
            if real_tensorflow.is_loading():
                return None
            if target_of(name) is ABSENT and real_tensorflow.is_installed():
                return _of_tensorflow(name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # a loader by duck

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the view of one module."""
        root, *parts = spec.name.split(".")
        target, module = ROOTS[root], root
        for part in parts:
            inner = look_up(target, part)
            if inner is ABSENT:
                inner = names.module(f"{module}.{part}")
            if inner is names.ABSENT:
                fact, repair = refusal(module, part, target)
                raise MissingImportError(fact, repair=repair)
            if not is_namespace(inner):
                raise MissingImportError(f"{module}.{part} is no module.", repair=f"from {module} import {part}")
            target, module = inner, f"{module}.{part}"
        if names.path_of(spec.name) is not None:
            teaching.teach_models()
        view = View(spec.name, target)
        view.__path__ = real_tensorflow.path() if spec.name == real_tensorflow.NAME else []
        return view

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: a view takes each name when it is asked for."""


def target_of(name: str) -> object:
    """Return what anabranch has for a module's name, or ABSENT."""
    root, *parts = name.split(".")
    target: object = ROOTS[root]
    for part in parts:
        target = ABSENT if target is ABSENT else look_up(target, part)
    return target


def _of_tensorflow(name: str) -> importlib.machinery.ModuleSpec | None:
    """Return where the installed TensorFlow has a module; one that it has loaded is not loaded twice."""
    parent = name.rpartition(".")[0]
    real_tensorflow.load()
    importlib.import_module(parent)
    if (loaded := sys.modules.get(name)) is not None:
        return importlib.machinery.ModuleSpec(name, _Loaded(loaded))  # type: ignore[arg-type]  # a loader by duck
    return importlib.machinery.PathFinder.find_spec(name, sys.modules[parent].__path__)


class _Loaded:
    """Loads a module that exists."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return it."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Give it back its own spec."""
        module.__spec__ = self.spec
