"""Which given value belongs to which declared leaf: by the user's own keys, or by position; never by sorted order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anabranch import _tree
from anabranch._errors import ArgumentError, nearest


def bind(structure: _tree.Nest, names: Sequence[str], value: Any, role: str) -> list[Any]:
    """Return the leaves of ``value`` in the order of ``structure``, whose leaves are called ``names``.

    ``role`` says what is bound, e.g. ``input`` or ``target``. A dict binds by the structure's keys or the leaves' names; a
    list by position.

    >>> bind(["t", "t"], ["left", "right"], {"right": 2, "left": 1}, "input")
    [1, 2]
    """
    if not _tree.is_nest(structure):
        return [_only(names[0], value, role)]
    if isinstance(value, dict):
        if isinstance(structure, dict) and any(_tree.is_nest(inner) for inner in structure.values()):
            return _bind_nested(structure, value, role)
        keys = list(structure) if isinstance(structure, dict) else list(names)
        _check_keys(value, keys, role)
        return [value[key] for key in keys]
    if isinstance(value, (list, tuple)):
        found = _tree.leaves(value)
        if len(found) == len(names):
            return found
        raise ArgumentError(
            f"Another number of {role}s than the model has.",
            expected=f"{len(names)}: {', '.join(names)}",
            got=str(len(found)),
        )
    if len(names) == 1:
        return [value]
    raise ArgumentError(
        f"The model has {len(names)} {role}s and was given one.",
        expected=f"a list in this order, or a dict with these keys: {', '.join(names)}",
        got=type(value).__name__,
    )


def _bind_nested(structure: dict[Any, Any], value: dict[Any, Any], role: str) -> list[Any]:
    _check_keys(value, list(structure), role)
    found: list[Any] = []
    for key, inner in structure.items():
        labels = [f"{key}/{i}" for i in range(len(_tree.leaves(inner)))]
        found += bind(inner, labels, value[key], role)
    return found


def _only(name: str, value: Any, role: str) -> Any:
    if isinstance(value, dict):
        _check_keys(value, [name], role)
        return value[name]
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return value[0]
    return value


def _check_keys(value: dict[Any, Any], keys: list[Any], role: str) -> None:
    missing = [key for key in keys if key not in value]
    extra = [key for key in value if key not in keys]
    if not missing and not extra:
        return
    close = {key: nearest(str(key), [str(k) for k in keys]) for key in extra}
    hints = [f"{key!r} -> {name!r}?" for key, name in close.items() if name]
    raise ArgumentError(
        f"The keys of the {role}s do not fit: "
        + "; ".join(
            ([f"missing {', '.join(map(repr, missing))}"] if missing else [])
            + ([f"unknown {', '.join(map(repr, extra))}"] if extra else [])
        ),
        expected=", ".join(map(repr, keys)),
        got=", ".join(map(repr, value)),
        repair=f"did you mean {', '.join(hints)}" if hints else None,
    )
