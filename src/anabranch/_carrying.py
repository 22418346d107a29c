"""What data cannot say by a name, such as a user's class or a torch function, beside them: in pickles, never in files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

Json = Any
_NAME = "__carried__"

_current: ContextVar[list[object] | None] = ContextVar("carrying", default=None)


@contextlib.contextmanager
def carrying(things: list[object]) -> Iterator[None]:
    """Let data written inside the block leave in ``things`` what they cannot say, and data read there take it from them."""
    token = _current.set(things)
    try:
        yield
    finally:
        _current.reset(token)


def carried(thing: object) -> dict[str, Json] | None:
    """Return what data say of a thing that goes beside them; None outside ``carrying``.

    >>> things = []
    >>> with carrying(things):
    ...     carried(len), carried(len), found(carried(len))
    ({'class_name': '__carried__', 'config': 0}, {'class_name': '__carried__', 'config': 0}, <built-in function len>)
    """
    things = _current.get()
    if things is None:
        return None
    number = next((number for number, each in enumerate(things) if each is thing), len(things))
    if number == len(things):
        things.append(thing)
    return {"class_name": _NAME, "config": number}


def is_carried(data: Json) -> bool:
    """Return whether data mean what goes beside them."""
    return isinstance(data, Mapping) and data.get("class_name") == _NAME and _current.get() is not None


def found(data: Mapping[str, Json]) -> Any:
    """Return what data mean that goes beside them."""
    return (_current.get() or [])[data["config"]]
