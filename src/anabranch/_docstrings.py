"""Docstrings that share what they share: arguments, results and errors that many functions have are described once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anabranch._asked import parameters_of

F = TypeVar("F", bound=Callable[..., Any])


def described(shared: Mapping[str, str] | Callable[..., Any], closing: str = "") -> Callable[[F], F]:
    r"""Return a decorator that completes docstrings: arguments they do not describe, then ``closing``, before the example.

    >>> @described({"x": "the input.", "y": "the target."}, "Returns:\n    The error.")
    ... def error(x, y):
    ...     '''Compare.
    ...
    ...     Args:
    ...         y: what x should be.
    ...
    ...     Example: none.
    ...     '''
    >>> print(error.__doc__)
    Compare.
    <BLANKLINE>
    Args:
        x: the input.
        y: what x should be.
    <BLANKLINE>
    Returns:
        The error.
    <BLANKLINE>
    Example: none.

    Args:
        shared: descriptions by name, or a function whose docstring has them.
        closing: further sections.
    """
    known = shared if isinstance(shared, Mapping) else arguments_of(shared)

    def complete(function: F) -> F:
        function.__doc__ = completed(cleaned(function.__doc__ or ""), function, known, closing)
        return function

    return complete


def completed(doc: str, function: Callable[..., Any], known: Mapping[str, str], closing: str = "") -> str:
    """Return a function's docstring, already ``cleaned``, with the arguments that it does not describe, and ``closing``."""
    text, mark, example = doc.partition("\n\nExample:")
    own = _described_in(doc)
    head, args, rest = text.partition("\n\nArgs:\n")
    rest = rest.partition("\n\n")[2] if args else ""
    texts = {name: own.get(name) or known.get(name.lstrip("*")) for name in _written(function)}
    lines = [f"    {name}: {text}" for name, text in texts.items() if text]
    title, _, more = closing.partition("\n")
    further = f"{rest}\n{more}" if rest.startswith(f"{title}\n") else f"{rest}\n\n{closing}".strip()
    parts = [head, "\n".join(["Args:", *lines]) if lines else "", further]
    return "\n\n".join([part for part in parts if part]) + mark + example


def _written(function: Callable[..., Any]) -> list[str]:
    """Return the parameters as a signature shows them; ``inspect`` would take longer to load than all there is to describe.

    >>> _written(lambda x, *args, y=1, **kwargs: x)
    ['x', 'y', '*args', '**kwargs']
    """
    names, flags = parameters_of(function), function.__code__.co_flags
    starred = iter(function.__code__.co_varnames[len(names) :])
    return [*names, *(stars + next(starred) for stars, flag in (("*", 4), ("**", 8)) if flags & flag)]


def cleaned(doc: str) -> str:
    r"""Return a docstring without the indentation of its source; ``inspect.cleandoc`` takes a while to load.

    >>> cleaned("Add." + chr(10) + "    Args:" + chr(10) + "        x: the input.")
    'Add.\nArgs:\n    x: the input.'
    """
    first, *others = doc.rstrip().split("\n")
    margin = min([len(line) - len(line.lstrip()) for line in others if line.strip()], default=0)
    return "\n".join([first.strip(), *[line[margin:].rstrip() for line in others]])


def arguments_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return what a docstring says of each argument.

    >>> arguments_of(described)["closing"]
    'further sections.'
    """
    return _described_in(cleaned(function.__doc__ or ""))


def _described_in(doc: str) -> dict[str, str]:
    section = doc.partition("\n\nArgs:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.split("\n") if section else ():
        if line.startswith("     "):
            found[name] += f"\n{line}"
        else:
            name, _, found_text = line.strip().partition(": ")
            found[name] = found_text
    return found
