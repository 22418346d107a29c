"""What the arguments mean that many functions share: described once, here or beside a family, and shown in every docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

ARGUMENTS = {  # name, or name and annotation where the type says which is meant
    "x": "the input, of any shape.",
    "x1": "the first operand.",
    "x2": "the second operand; the two broadcast.",
    "inputs": "the input.",
    "axis: Axes": "the axis or axes; None: all of them.",
    "axis: int": "the axis; negative ones count from the end.",
    "axis: int | None": "the axis; None: that of the flattened input.",
    "keepdims": "whether reduced axes stay, with size 1.",
    "dtype: str | None": "the dtype of the result; None: it follows from the input's.",
    "dtype: str": "the dtype of the result.",
    "shape": "the sizes along each axis.",
    "k": "the diagonal: 0 is the main one, positive ones are above it, negative ones below.",
    "indices": "the indices, integers.",
    "updates": "the new values.",
    "sparse": "only False: tensors are dense.",
    "data_format": '"channels_last" or "channels_first"; None: that of ``config``.',
    "kwargs": "none are taken.",
    "seed": "None: from the generator of the process; an integer: the same values at each call; or a SeedGenerator.",
}


def documented(function: F) -> F:
    """Complete a function's docstring: give its example a title, and describe all arguments in the order of its signature.

    What the docstring does not describe comes from ``ARGUMENTS`` of the function's module, then from those here.
    """
    doc = function.__doc__ or ""
    at = doc.find(">>> ")
    head, margin = doc[: max(at, 0)].rpartition("\n")[::2]  # from Python 3.13 on docstrings have no margin
    if margin.strip() or not head.endswith("\n"):
        return function
    head, _, section = head[:-1].partition(f"\n\n{margin}Args:\n")
    own, family = _entries(section, margin), function.__globals__.get("ARGUMENTS", {})
    lines = [own.get(name) or _shared(name, function, family, margin) for name in _parameters(function)]
    example = "\n".join(f"    {line}" if line.strip() else line for line in f"{margin}{doc[at:]}".split("\n"))
    parts = [head, "\n".join([f"{margin}Args:", *filter(None, lines)]) if any(lines) else "", f"{margin}Example:\n{example}"]
    function.__doc__ = "\n\n".join(filter(None, parts))
    return function


def _entries(section: str, margin: str) -> dict[str, str]:
    """Return the lines of each argument that a section describes, by name."""
    found: dict[str, str] = {}
    name = ""
    for line in section.split("\n") if section else ():
        if line.startswith(f"{margin}     "):
            found[name] += f"\n{line}"
        else:
            name = line.partition(":")[0].strip().lstrip("*")
            found[name] = line
    return found


def _shared(name: str, function: Callable[..., Any], family: dict[str, str], margin: str) -> str:
    typed = f"{name}: {function.__annotations__.get(name)}"
    for table in (family, ARGUMENTS):
        for key in (typed, name):
            if key in table:
                return f"{margin}    {name}: {table[key]}"
    return ""


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters; ``inspect`` would take longer to load than all functions to document."""
    code = function.__code__
    starred = bool(code.co_flags & 4) + bool(code.co_flags & 8)  # *args and **kwargs come last
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
