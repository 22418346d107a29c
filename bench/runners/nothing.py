"""Python alone: what any start costs."""

from __future__ import annotations


def table(name: str, variant: str) -> None:
    """Do nothing."""
