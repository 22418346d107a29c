"""What errors of a graph carry besides their words, for those who explain them, and the one way to be asked for that.

The graph states facts. ``anabranch`` explains them (where the tensors came from, what to write instead) in a package above,
which connects itself when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from anabranch._errors import AnabranchError

if TYPE_CHECKING:
    from anabranch.graph.records import Tensor
    from anabranch.graph.shapes import Shape

E = TypeVar("E", bound=AnabranchError)


# Plain classes, since most programs make none of these, and to define a NamedTuple takes a tenth of a millisecond.


class UnequalOperands:
    """Two operands that cannot be combined element by element, and the operator's sign."""

    def __init__(self, sign: str, shapes: tuple[Shape, Shape]) -> None:
        self.sign, self.shapes = sign, shapes


class NoValues:
    """A use that needs values, as the end of ``A symbolic tensor has no values yet, so it cannot …``."""

    def __init__(self, use: str) -> None:
        self.use = use


class WrongIndex:
    """Something that a symbolic tensor cannot be indexed by."""

    def __init__(self, item: object) -> None:
        self.item = item


class NoTensors:
    """Nothing where ``inputs`` or ``outputs`` of a graph belong."""

    def __init__(self, role: str) -> None:
        self.role = role


class WrongValue:
    """A value in the place of a symbolic tensor; ``role``: ``inputs`` or ``outputs`` of a graph, given as ``nest``."""

    def __init__(self, value: object, role: str | None = None, nest: object = None) -> None:
        self.value, self.role, self.nest = value, role, nest


class RepeatedInput:
    """An input of a graph that is listed twice."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class MissingInput:
    """A source that an output needs and that is not among a graph's inputs."""

    def __init__(self, source: Tensor, output: Tensor, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.source, self.output, self.inputs, self.outputs = source, output, inputs, outputs


class NothingSelected:
    """A selector that selects nothing."""

    def __init__(self, selector: object) -> None:
        self.selector = selector


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
