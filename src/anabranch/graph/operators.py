"""Python's operators on symbolic tensors, as operations of a graph; each runs as the operator itself."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch.graph.shapes import Shape, broadcast

if TYPE_CHECKING:
    from anabranch.graph.tensor import Node

Rule = Callable[[list["Spec"]], "Spec"]


class Spec(NamedTuple):
    """What is known of a tensor before it has numbers."""

    shape: Shape
    dtype: str


_ORDER = ("bool", "uint8", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64")


def promote(a: str, b: str) -> str:
    """Return the dtype of an arithmetic result.

    >>> promote("uint8", "float32")
    'float32'
    """
    return max(a, b, key=_ORDER.index)


def _arithmetic(specs: list[Spec]) -> Spec:
    first, *rest = specs
    shape, dtype = first
    for spec in rest:
        shape, dtype = broadcast(shape, spec.shape), promote(dtype, spec.dtype)
    return Spec(shape, dtype)


def _division(specs: list[Spec]) -> Spec:
    shape, dtype = _arithmetic(specs)
    return Spec(shape, dtype if "float" in dtype else "float32")


# Python's function -> (its name in tables and summaries, the rule for its result)
OPERATORS: dict[Callable[..., Any], tuple[str, Rule]] = {
    operator.add: ("add", _arithmetic),
    operator.sub: ("subtract", _arithmetic),
    operator.mul: ("multiply", _arithmetic),
    operator.truediv: ("true_divide", _division),
    operator.pow: ("power", _arithmetic),
    operator.neg: ("negative", _arithmetic),
}


class Operator:
    """One use of a Python operator in a graph: an operation without weights."""

    explicit_name: str | None = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.call = function
        self.base_name, self._rule = OPERATORS[function]
        self.name = self.base_name
        self.calls: list[weakref.ref[Node]] = []

    def call_takes(self, name: str) -> bool:
        """Return whether ``call`` has a parameter ``name``: an operator has none."""
        return False

    def compute_output_spec(self, *operands: Any) -> Spec:
        """Return the result's shape and dtype; a Python number takes the tensor's dtype unless it is a float."""
        tensors = [Spec(o.shape, o.dtype) for o in operands if hasattr(o, "shape")]
        numbers = [Spec((), "float32") for o in operands if isinstance(o, float) and "float" not in tensors[0].dtype]
        return self._rule(tensors + numbers)
