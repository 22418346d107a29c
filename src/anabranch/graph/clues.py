"""What errors of a graph carry besides their words, for those who explain them, and the one way to be asked for that.

The graph states facts. ``anabranch`` explains them (where the tensors came from, what to write instead) in a package above,
which connects itself when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from anabranch._errors import AnabranchError

if TYPE_CHECKING:
    from anabranch.graph.records import Tensor
    from anabranch.graph.shapes import Shape

E = TypeVar("E", bound=AnabranchError)


class UnequalOperands(NamedTuple):
    """Two operands that cannot be combined element by element, and the operator's sign."""

    sign: str
    shapes: tuple[Shape, Shape]


class NoValues(NamedTuple):
    """A use that needs values, as the end of ``A symbolic tensor has no values yet, so it cannot …``."""

    use: str


class WrongIndex(NamedTuple):
    """Something that a symbolic tensor cannot be indexed by."""

    item: object


class NoTensors(NamedTuple):
    """Nothing where ``inputs`` or ``outputs`` of a graph belong."""

    role: str


class WrongValue(NamedTuple):
    """A value in the place of a symbolic tensor; ``role``: ``inputs`` or ``outputs`` of a graph, given as ``nest``."""

    value: object
    role: str | None = None
    nest: object = None


class RepeatedInput(NamedTuple):
    """An input of a graph that is listed twice."""

    tensor: Tensor


class MissingInput(NamedTuple):
    """A source that an output needs and that is not among a graph's inputs."""

    source: Tensor
    output: Tensor
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


class NothingSelected(NamedTuple):
    """A selector that selects nothing."""

    selector: object


Explainer = Callable[[AnabranchError, Sequence["Tensor"]], None]
_explainers: list[Explainer] = []


def connect_explainer(explainer: Explainer) -> None:
    """Let ``explainer`` complete errors: it gets each with the symbolic tensors that the operation was called on."""
    _explainers[:] = [explainer]


def explained(error: E, inputs: Sequence[Tensor] = ()) -> E:
    """Return ``error``, completed by whoever explains errors."""
    for explainer in _explainers:
        explainer(error, inputs)
    return error
