"""Whether progress goes to the standard output or to a logger."""

from __future__ import annotations

_interactive = True


def enable_interactive_logging() -> None:
    """Show progress on the standard output, as is the default.

    Example:
        >>> enable_interactive_logging()
        >>> is_interactive_logging_enabled()
        True
    """
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Write progress to the logger ``"anabranch"`` of Python's ``logging``, without bars.

    Example:
        >>> disable_interactive_logging()
        >>> is_interactive_logging_enabled()
        False
        >>> enable_interactive_logging()
    """
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Return whether progress goes to the standard output.

    Example:
        >>> is_interactive_logging_enabled()
        True
    """
    return _interactive
