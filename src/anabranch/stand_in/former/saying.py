"""One warning for each former word, at the user's line that used it first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from anabranch.graph.call_site import warn

_said: set[str] = set()
_silent: list[bool] = []


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Warn of nothing inside the block."""
    _silent.append(True)
    try:
        yield
    finally:
        _silent.pop()


def say(former: str, today: str) -> None:
    """Warn once that a word is of an older Keras, and what it is called today."""
    message = f"{former} is a word of an older Keras; today: {today}."
    if message not in _said and not _silent:
        _said.add(message)
        warn(message)


def forget() -> None:
    """Warn of all of them again."""
    _said.clear()
