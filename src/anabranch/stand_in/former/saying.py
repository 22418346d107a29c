"""One warning for each former word, at the user's line that used it first."""

from __future__ import annotations

from anabranch.graph.call_site import warn

_said: set[str] = set()


def say(former: str, today: str) -> None:
    """Warn once that a word is of an older Keras, and what it is called today."""
    message = f"{former} is a word of an older Keras; today: {today}."
    if message not in _said:
        _said.add(message)
        warn(message)


def forget() -> None:
    """Warn of all of them again."""
    _said.clear()
