"""What callbacks say: lines for the user."""

from __future__ import annotations


def say(line: str) -> None:
    """Print one line; above the bar where one is alive."""
    print(line, flush=True)  # noqa: T201 - the one place that speaks
