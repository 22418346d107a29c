"""The registry of rules: a function each, registered by a decorator with code, severity, title, reason and source."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from anabranch.insight.linting.findings import Found

if TYPE_CHECKING:
    from anabranch.insight.linting.program import Program


Check: TypeAlias = "Callable[[Program], Iterator[Found]]"


class Rule(NamedTuple):
    """One rule: its code, the severity of what it finds, a title, why that matters, by which source, and its function."""

    code: str
    severity: str
    title: str
    why: str
    source: str
    check: Check
    warned: bool
    """Whether ``compile`` warns of it."""


_FAMILIES = ("structure", "outputs", "gradients", "values", "normalizing", "receptive")
_RULES: dict[str, Rule] = {}


def rule(
    code: str, severity: str, title: str, *, why: str, source: str, warned: bool | None = None
) -> Callable[[Check], Check]:
    """Register a function as the rule of a code.

    Args:
        code: such as ``"AB101"``; the hundreds are the family.
        severity: ``"error"``, ``"warning"`` or ``"info"``.
        title: what is found, in a few words.
        why: a sentence that says what comes of it.
        source: the paper and section, or where else that is said.
        warned: whether ``compile`` warns of it; None: unless it is "info".
    """

    def register(check: Check) -> Check:
        if code in _RULES:
            raise ValueError(f"two rules have the code {code}")
        _RULES[code] = Rule(code, severity, title, why, source, check, severity != "info" if warned is None else warned)
        return check

    return register


@functools.cache
def rules() -> dict[str, Rule]:
    """Return all rules by code.

    Example:
        >>> rules()["AB101"].title
        'an input that no output needs'
    """
    for family in _FAMILIES:
        importlib.import_module(f"anabranch.insight.linting.{family}")
    return dict(sorted(_RULES.items()))
