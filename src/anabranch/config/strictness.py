"""What is refused or warned of: merges that broadcast, findings about models."""

from __future__ import annotations

import re

from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bounded

_strict_merges = True
_ignored_findings: tuple[str, ...] = ()


def strict_merges() -> bool:
    """Return whether a merge that broadcasts a branch without ``broadcast=True`` is an error; else it is a warning.

    Example:
        >>> strict_merges()
        True
    """
    return _strict_merges


@bounded
def set_strict_merges(strict: bool) -> None:
    """Make ``add``, ``average``, … of unequal shapes without ``broadcast=True`` an error, or a warning.

    Args:
        strict: False warns at the user's line, as under ``anabranch run``, since Keras broadcasts silently.

    Raises:
        ArgumentTypeError: no boolean.

    Example:
        >>> set_strict_merges(False)
        >>> strict_merges()
        False
        >>> set_strict_merges(True)
    """
    global _strict_merges
    if not isinstance(strict, bool):
        raise ArgumentTypeError("strict must be True or False.", got=repr(strict))
    _strict_merges = strict


def ignored_findings() -> tuple[str, ...]:
    """Return the codes of findings that are silenced.

    Example:
        >>> ignored_findings()
        ()
    """
    return _ignored_findings


@bounded
def ignore_findings(*codes: str) -> None:
    """Silence findings about models, as ``model.lint()`` reports them and ``compile`` warns of them; without codes, none.

    Args:
        codes: codes, or beginnings of codes: ``"AB202"``, ``"AB2"`` for all of a family, ``"AB"`` for all.

    Example:
        >>> ignore_findings("AB202", "AB301")
        >>> ignored_findings()
        ('AB202', 'AB301')
        >>> ignore_findings()
    """
    global _ignored_findings
    for code in codes:
        if not isinstance(code, str) or not re.fullmatch(r"AB\d{0,3}", code):
            raise ArgumentError(
                "A finding is named by its code.", expected="such as 'AB202', or its beginning", got=shown(code)
            )
    _ignored_findings = codes
