"""An installed TensorFlow behind the views: loaded when a script first asks for what is not Keras's.

``sys.modules["tensorflow"]`` stays the view, with the real package's path, so that ``tensorflow.data`` and all inside are the
real modules.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType

NAME = "tensorflow"

_module: ModuleType | None = None
_loading = False
_seed: int | None = None


def is_installed() -> bool:
    """Return whether a TensorFlow is installed."""
    return _module is not None or importlib.machinery.PathFinder.find_spec(NAME) is not None


def is_loading() -> bool:
    """Return whether TensorFlow is importing its own modules right now."""
    return _loading


def version() -> str | None:
    """Return the version of the installed TensorFlow, without loading it; None where it is not known."""
    if not is_installed():
        return None
    import importlib.metadata

    for distribution in (NAME, f"{NAME}-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pass
    return None


def path() -> list[str]:
    """Return where TensorFlow's modules are, once it is loaded."""
    return [] if _module is None else list(_module.__path__)


def load() -> ModuleType:
    """Return TensorFlow, imported if need be."""
    global _loading
    if _module is None:
        views = {name: sys.modules.pop(name) for name in list(sys.modules) if f"{name}.".startswith(f"{NAME}.")}
        _loading = True
        try:
            take(importlib.import_module(NAME))
        finally:
            _loading = False
            sys.modules.update(views)
        views[NAME].__path__ = path()
    return _module  # type: ignore[return-value]  # it is there now


def take(module: ModuleType) -> None:
    """Use a TensorFlow that is loaded."""
    global _module
    _module = module
    if _seed is not None:
        set_seed(_seed)


def release() -> None:
    """Give a loaded TensorFlow its name back."""
    global _module, _seed
    if _module is not None:
        sys.modules[NAME] = _module
    _module, _seed = None, None


def look_up(path: str, default: object) -> object:
    """Return what TensorFlow has by a path such as ``tensorflow.data.Dataset``, or ``default``."""
    if not is_installed():
        return default
    found: object = load()
    try:
        for name in path.split(".")[1:]:
            found = getattr(found, name)
    except AttributeError:
        return default
    return found


def set_seed(seed: int) -> None:
    """Set TensorFlow's seed, or that of one loaded later."""
    global _seed
    _seed = seed
    if _module is not None:
        _module.random.set_seed(seed)
