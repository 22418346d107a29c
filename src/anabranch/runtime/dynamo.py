"""What ``torch.compile`` is given of a layer that it meets: a call that it leaves to Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch

C = TypeVar("C", bound=Callable[..., Any])
FOLLOWS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
"""Whether torch.compile can follow a model's call: that of torch 2.6 knows too little of Python, later ones were not tried."""


class Computing(Protocol):
    """A layer or a model."""

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Compute a call."""


class _Outside:
    call: Callable[[Computing, tuple[Any, ...], dict[str, Any]], Any] | None = None


_outside = _Outside()


def run_while_compiling(function: C) -> C:
    """Have torch.compile run a function, once each time that it compiles a call, instead of compiling it."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # what torch's own decorator does, once it is loaded
    return function


@run_while_compiling
def _prepare() -> None:
    if _outside.call is None:
        why = {"reason": _REASON} if FOLLOWS else {}
        _outside.call = torch.compiler.disable(_computed, **why)  # type: ignore[no-untyped-call]  # in torch


_REASON = (
    "torch.compile runs this layer of anabranch as it is. It compiles models of Inputs and outputs whose layers can all be "
    "traced and which give no masks or losses besides. model.to_torch() in the layer's place is torch's own."
)


def _computed(layer: Computing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    return layer._compute_(args, kwargs)


def outside_of_dynamo(layer: Computing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Compute a call without torch.compile, which goes on with what comes after it."""
    _prepare()
    call = _outside.call
    return None if call is None else call(layer, args, kwargs)
