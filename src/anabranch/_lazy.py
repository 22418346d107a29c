"""Packages whose modules load when one of their names is first used; the stub beside ``__init__.py`` lists the names.

``lazy_loader.attach_stub`` reads the same stubs by ``ast``, which takes longer than all of anabranch that a summary loads, and
reads them where only a module inside is wanted.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable

import lazy_loader


def attach(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__``, which also answers for ``__all__``, and ``__dir__`` of a package.

    The stub is read when somebody asks for a public name. No module may be called like a name that the package shows.

    Args:
        package: its ``__name__``.
        file: its ``__file__``.
    """

    @functools.cache
    def attached() -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
        with open(f"{file.rpartition('.')[0]}.pyi", encoding="utf-8") as stub:
            modules, names = listed(stub.read())
        found: tuple[Callable[[str], object], Callable[[], list[str]], list[str]] = lazy_loader.attach(package, modules, names)
        return found

    def get(name: str) -> object:
        if name == "__all__":
            return attached()[2]
        if name.startswith("_"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        collecting = gc.isenabled()
        gc.disable()  # what modules make as they load stays, so that looking for garbage meanwhile is in vain
        try:
            value = vars(sys.modules[package])[name] = attached()[0](name)  # old versions of lazy_loader ask again each time
            return value
        finally:
            if collecting:
                if not gc.get_freeze_count():  # nor afterwards: all joins the oldest generation unread
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()

    return get, lambda: attached()[1]()


def listed(stub: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the modules that a stub imports from its own package, and the names that it imports from each of these.

    >>> listed("from . import nn as nn")
    (['nn'], {})
    """
    modules: list[str] = []
    names: dict[str, list[str]] = {}
    for statement in f"\n{stub}".split("\nfrom .")[1:]:
        module, _, rest = statement.partition(" import ")
        text = rest[1:].partition(")")[0] if rest.startswith("(") else rest.partition("\n")[0]
        found = [each.split()[0] for each in text.split(",") if each.strip()]
        (names.setdefault(module, []) if module else modules).extend(found)
    return modules, names
