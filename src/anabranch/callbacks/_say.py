"""What callbacks say: lines for the user, and warnings at the user's own line."""

from __future__ import annotations

import warnings

from anabranch.graph.call_site import call_site


def say(line: str) -> None:
    """Print one line; above the bar where one is alive."""
    print(line, flush=True)  # noqa: T201 - the one place that speaks


def warn(message: str) -> None:
    """Warn at the innermost place on the call stack that is not anabranch's own code."""
    site = call_site()
    warnings.warn_explicit(message, UserWarning, site.file, site.line)
