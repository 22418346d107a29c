"""How many epochs and steps runs take at most, to try a script out."""

from __future__ import annotations

import os

from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError
from anabranch._frames import bounded

_max_epochs: int | None = None
_max_steps_per_epoch: int | None = None


def max_epochs() -> int | None:
    """Return how many epochs ``fit`` trains at most: what was set, else ``$KERAS_MAX_EPOCHS``; None where there is no limit.

    Example:
        >>> max_epochs() is None
        True
    """
    return _from_environment("KERAS_MAX_EPOCHS") if _max_epochs is None else _max_epochs


@bounded
def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every ``fit``, which warns of it; to try a script out.

    Args:
        max_epochs: a positive integer; None removes the limit.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_max_epochs(2)
        >>> max_epochs()
        2
        >>> set_max_epochs(None)
    """
    global _max_epochs
    _max_epochs = _limit(max_epochs, "max_epochs")


def max_steps_per_epoch() -> int | None:
    """Return how many steps an epoch has at most: what was set, else ``$KERAS_MAX_STEPS_PER_EPOCH``; None without a limit.

    Example:
        >>> max_steps_per_epoch() is None
        True
    """
    return _from_environment("KERAS_MAX_STEPS_PER_EPOCH") if _max_steps_per_epoch is None else _max_steps_per_epoch


@bounded
def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of every epoch of ``fit``, and of ``evaluate`` and ``predict``, which warn of it.

    Args:
        max_steps_per_epoch: a positive integer; None removes the limit.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_max_steps_per_epoch(3)
        >>> max_steps_per_epoch()
        3
        >>> set_max_steps_per_epoch(None)
    """
    global _max_steps_per_epoch
    _max_steps_per_epoch = _limit(max_steps_per_epoch, "max_steps_per_epoch")


def _limit(value: int | None, name: str) -> int | None:
    if value is not None and (not is_integer(value) or value < 1):
        raise ArgumentError(f"{name} must be a positive integer or None.", got=shown(value))
    return None if value is None else int(value)


def _from_environment(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentError(f"${name} must be a positive integer.", got=repr(text))
    return int(text)
