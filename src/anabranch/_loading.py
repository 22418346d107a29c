"""What settings do to a third-party module when somebody loads it, now or later, without loading it themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_waiting: dict[str, dict[Callable[[Any], None], None]] = {}


def when_loaded(name: str, follow: Callable[[Any], None]) -> None:
    """Call ``follow`` with a module: at once where it is loaded, else once, when somebody has imported it.

    >>> when_loaded("sys", lambda module: print(module.__name__))
    sys
    """
    if name in sys.modules:
        follow(sys.modules[name])
        return
    _waiting.setdefault(name, {})[follow] = None
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)  # type: ignore[arg-type]  # a finder by duck: importlib.abc costs 13 ms


class _Finder:
    """Let the other finders find a module that is waited for, and note when it has been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec that the other finders give, None where nobody waits for the module."""
        if name not in _waiting:
            return None
        for finder in [each for each in sys.meta_path if each is not self]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = spec.loader and _Loader(spec.loader)  # type: ignore[assignment]  # a loader by duck
                return spec
        return None


class _Loader:
    """Execute a module by its own loader, then call those who wait for it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)  # create_module, get_source, …

    def exec_module(self, module: Any) -> None:
        """Execute the module, which shows its own loader afterwards."""
        module.__spec__.loader = module.__loader__ = self._own
        self._own.exec_module(module)
        for follow in _waiting.pop(module.__name__, ()):
            follow(module)
        if not _waiting and _FINDER in sys.meta_path:
            sys.meta_path.remove(_FINDER)  # type: ignore[arg-type]  # a finder by duck


_FINDER = _Finder()
