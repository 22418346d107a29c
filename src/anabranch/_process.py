"""State of the process that settings, layers and models share: changes, seedings, claims."""

from __future__ import annotations

_floatx = "float32"
_changes = 0
_seedings = 0
_claims = 0
remat_scopes: list[object] = []  # those that are open; the last one holds for the layers that are made


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
