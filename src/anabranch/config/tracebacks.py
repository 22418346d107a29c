"""Which frames a traceback shows."""

from __future__ import annotations

from anabranch import _frames


def enable_traceback_filtering() -> None:
    """Show the user's frames alone in tracebacks, the default: those of anabranch, and of torch below it, are left out.

    Example:
        >>> enable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        True
    """
    _frames.set_filtering(True)


def disable_traceback_filtering() -> None:
    """Show every frame in tracebacks, for a debugger or a report of a fault in anabranch.

    Example:
        >>> disable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        False
        >>> enable_traceback_filtering()
    """
    _frames.set_filtering(False)


def is_traceback_filtering_enabled() -> bool:
    """Return whether tracebacks show the user's frames alone.

    Example:
        >>> is_traceback_filtering_enabled()
        True
    """
    return _frames.filtering()
