"""State of the process that settings, layers and models share: changes, seedings, claims, progress, flash attention."""

from __future__ import annotations

_floatx = "float32"
_changes = 0
_seedings = 0
_claims = 0
_interactive = True
_flash_attention = False


def floatx() -> str:
    """Return the default float type."""
    return _floatx


def set_floatx(name: str) -> None:
    """Set the default float type."""
    global _floatx
    _floatx = name


def changes() -> int:
    """Return how often something changed that running models depend on: a device was set, a layer made, frozen or unfrozen."""
    return _changes


def note_change() -> None:
    """Count one such change, so that models check their programs before they next run."""
    global _changes
    _changes += 1


def seedings() -> int:
    """Return how often a seed was set; generators and models that compare it know when to restart."""
    return _seedings


def note_seeding() -> None:
    """Count that a seed was set; claims are counted from 0 again."""
    global _seedings, _claims
    _seedings += 1
    _claims = 0


def next_claim() -> int:
    """Return how many models claimed layers since the seed was set, and count one more.

    Initial values depend on this number, so that three models from one function differ and a seeded program repeats itself.
    """
    global _claims
    _claims += 1
    return _claims - 1


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


def enable_flash_attention() -> None:
    """Let attention layers refuse what rules flash attention out: dropout and attention scores. torch chooses the kernel.

    Example:
        >>> enable_flash_attention()
        >>> is_flash_attention_enabled()
        True
        >>> disable_flash_attention()
    """
    global _flash_attention
    _flash_attention = True


def disable_flash_attention() -> None:
    """Let attention layers take dropout and give attention scores, the default.

    Example:
        >>> disable_flash_attention()
        >>> is_flash_attention_enabled()
        False
    """
    global _flash_attention
    _flash_attention = False


def is_flash_attention_enabled() -> bool:
    """Return whether attention layers refuse what rules flash attention out.

    Example:
        >>> is_flash_attention_enabled()
        False
    """
    return _flash_attention
