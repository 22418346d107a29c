"""Integers, fractions and booleans among the arguments of fit, evaluate and predict: converted, or refused with the repair."""

from __future__ import annotations

import operator

import numpy as np

from anabranch._asked import GREATEST, is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError


def integer(value: object, name: str, least: int = 1) -> int:
    """Return ``value`` as an int of at least ``least``; integers of NumPy and of torch are taken too."""
    try:
        found = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]  # what has no index raises
    except TypeError:
        found = None
    if found is not None and found >= GREATEST:
        raise ArgumentError(f"{name} must be below 2**63.", got=shown(value))
    if found is None or found < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ArgumentError(f"{name} must be {kind}.", expected=kind, got=shown(value))
    return found


def optional_integer(value: object, name: str) -> int | None:
    """Return a positive int, or None."""
    return None if value is None else integer(value, name)


def fraction(value: object, name: str) -> float:
    """Return a number from 0 up to, but not including, 1; 0 for None."""
    if value is None:
        return 0.0
    if not is_number(value) or not 0 <= value < 1:
        raise ArgumentError(f"{name} must be a fraction.", expected="a number from 0 to below 1", got=shown(value))
    return float(value)


def boolean(value: object, name: str) -> bool:
    """Return ``value``, which must be True or False."""
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise ArgumentTypeError(f"{name} must be a boolean.", expected="True or False", got=shown(value))
    return bool(value)
