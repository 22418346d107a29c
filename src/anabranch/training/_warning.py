"""Warnings that point at the user's own line."""

from __future__ import annotations

import warnings

from anabranch.graph.call_site import call_site


def tell(message: str) -> None:
    """Warn at the innermost place on the call stack that is not anabranch's own code."""
    site = call_site()
    warnings.warn_explicit(message, UserWarning, site.file, site.line)
