"""What the arguments mean that many functions share: described once, here or beside a family, and shown in every docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anabranch._docstrings import cleaned, completed

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
    "dtype: str | None": "the dtype of the result, by name or torch's or NumPy's; None: it follows from the input's.",
    "dtype: str": "the dtype of the result, by name or torch's or NumPy's.",
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
    family = function.__globals__.get("ARGUMENTS", {})
    known = {}
    for name in function.__annotations__:
        keys = (f"{name}: {function.__annotations__[name]}", name)
        known[name] = next((table[key] for table in (family, ARGUMENTS) for key in keys if key in table), "")
    text, found, example = cleaned(function.__doc__ or "").partition("\n\n>>> ")
    if not found:
        return function
    lines = [f"    {line}" if line else "" for line in f">>> {example}".split("\n")]
    function.__doc__ = completed("\n".join([text, "", "Example:", *lines]), function, known)
    return function
