"""Processes that ``multiprocessing`` or joblib starts afresh: the stand-in is installed in them before they import.

A child reads what prepares it, then imports the script. A value among that data installs the stand-in as it is unpickled. The
server that forkserver forks from begins with a module that installs it.
"""

from __future__ import annotations

import functools
import importlib.machinery
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

MODULES = ("multiprocessing.spawn", "joblib.externals.loky.backend.spawn", "loky.backend.spawn")
"""Modules that prepare such processes, each by its ``get_preparation_data``."""
SERVER = "multiprocessing.forkserver"
CHILD = f"{__package__}.child"


def install() -> None:
    """Let children have the stand-in; where what starts them is not loaded, as it is loaded."""
    for name in MODULES:
        if (spawn := sys.modules.get(name)) is not None:
            _carry(spawn)


def uninstall() -> None:
    """Start children as before."""
    for name in MODULES:
        spawn: Any = sys.modules.get(name)
        if spawn is not None and "original" in vars(spawn.get_preparation_data):
            spawn.get_preparation_data = spawn.get_preparation_data.original


def spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Return where one of these modules is, with a loader that lets it carry the stand-in."""
    found = importlib.machinery.PathFinder.find_spec(name, sys.modules[name.rpartition(".")[0]].__path__)
    if found is not None and found.loader is not None:
        found.loader.exec_module = functools.partial(_load, found.loader.exec_module)  # type: ignore[method-assign]
    return found


def _load(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    load(module)
    _carry(module)


def _carry(spawn: Any) -> None:
    original = spawn.get_preparation_data
    if "original" in vars(original):
        return

    @functools.wraps(original)
    def get_preparation_data(name: str, *how: object) -> dict[str, object]:
        data: dict[str, object] = original(name, *how)
        server: Any = sys.modules.get(SERVER)
        if name == "ignore" and server is not None:  # as the server is started: it would import the script before us
            modules = server._forkserver._preload_modules
            if CHILD not in modules:
                server.set_forkserver_preload([CHILD, *modules])
            return {key: value for key, value in data.items() if not key.startswith(("init_main", "main"))}
        return data | {"anabranch": _Carried()}

    vars(get_preparation_data)["original"] = original
    spawn.get_preparation_data = get_preparation_data


class _Carried:
    """Installs the stand-in where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _install_in_child, ()


def _install_in_child() -> None:
    import importlib

    importlib.import_module(CHILD)
