"""What callbacks say: lines for the user."""

from __future__ import annotations

from anabranch._errors import printable
from anabranch.config import is_interactive_logging_enabled


def say(line: str) -> None:
    """Print one line, above the bar where one is alive; log it where interactive logging is off."""
    if is_interactive_logging_enabled():
        print(printable(line), flush=True)  # noqa: T201 - the one place that speaks
        return
    import logging

    logging.getLogger("anabranch").info(line)
