"""Objects that several others hold, in data: each is written with a number, and read once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
Json = Any
_KEY = "shared_object_id"  # Keras's


class _Sharing:
    """Numbers of objects that are written, and objects by the numbers that are read."""

    def __init__(self, reading: bool) -> None:
        self.reading = reading  # what is written meanwhile, as layers copy each other by config, has no numbers
        self.numbers: dict[int, tuple[int, Any]] = {}  # by ``id``, with the object, so that no other takes its ``id``
        self.found: dict[Any, Any] = {}


_current: ContextVar[_Sharing | None] = ContextVar("sharing", default=None)


@contextlib.contextmanager
def sharing(*, reading: bool = False) -> Iterator[None]:
    """Let an object that is written twice inside the block come back as one; ``reading``: from data inside this block."""
    token = _current.set(_Sharing(reading))
    try:
        yield
    finally:
        _current.reset(token)


def numbered(obj: object, data: dict[str, Json]) -> dict[str, Json]:
    """Return the JSON of an object with its number, inside ``sharing``."""
    current = _current.get()
    if current is not None and not current.reading:
        data[_KEY] = current.numbers.setdefault(id(obj), (len(current.numbers) + 1, obj))[0]
    return data


def read_before(data: Mapping[str, Json]) -> Any:
    """Return the object that the JSON with this number became before, None where there is none."""
    current = _current.get()
    return None if current is None or _KEY not in data else current.found.get(data[_KEY])


def note_read(data: Mapping[str, Json], found: T) -> T:
    """Note what JSON became, and return it."""
    current = _current.get()
    if current is not None and _KEY in data:
        current.found[data[_KEY]] = found
    return found


def without_single_numbers(data: Json) -> Json:
    """Take away the numbers of objects that are there once."""
    counts: dict[int, int] = {}
    for each in _objects(data):
        counts[each[_KEY]] = counts.get(each[_KEY], 0) + 1
    for each in list(_objects(data)):
        if counts[each[_KEY]] == 1:
            del each[_KEY]
    return data


def _objects(data: Json) -> Iterator[dict[str, Json]]:
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if _KEY in item:
                yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
