"""Casts where a nested model begins: what goes in takes the dtype that its Input declares, as what is fed to a model does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anabranch.graph.facts import Facts, Inputs, pointwise
from anabranch.graph.function import Method
from anabranch.graph.graph import Graph
from anabranch.graph.records import NamedFunction, Node, Spec, Tensor
from anabranch.graph.rules import CASTS
from anabranch.graph.tensor import make_node

_EXACT = {
    ("float16", "float32"),
    ("bfloat16", "float32"),
    ("float16", "float64"),
    ("bfloat16", "float64"),
    ("float32", "float64"),
}


class Cast(NamedFunction):
    """The cast of one input of a nested model; no node of a user's graph."""

    def __init__(self, dtype: str) -> None:
        super().__init__(Method(CASTS[dtype]), "cast", Facts(None, pointwise))
        self._dtype = dtype

    def compute_output_spec(self, x: Tensor) -> Spec:
        """Return the tensor's shape with the dtype."""
        return Spec(x.shape, self._dtype)

    def _mask_axes_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
        """Return over how many leading axes the result is masked: as what is cast."""
        return pointwise({}, inputs)


def is_cast(dtype: str, declared: Tensor, graph: Graph) -> bool:
    """Return whether a value of ``dtype`` is cast for an input of ``graph``.

    Not where that changes nothing: where it has fewer bits than declared, and only layers take it that cast either to another.
    """
    if dtype == declared.dtype or declared.dtype not in CASTS or dtype not in CASTS:
        return False
    if (dtype, declared.dtype) not in _EXACT or declared.key in {tensor.key for tensor in graph.outputs}:
        return True
    return not all(
        taker.autocast and taker._graph_ is None and taker.compute_dtype not in ("", declared.dtype)
        for taker in graph.takers_of(declared)
    )


def casts(node: Node, graph: Graph) -> Iterator[tuple[int, Node]]:
    """Yield the position of each input that the call of a nested model casts, and the node that casts it."""
    for index, (tensor, declared) in enumerate(zip(node.inputs, graph.inputs, strict=True)):
        if is_cast(tensor.dtype, declared, graph):
            yield index, make_node(Cast(declared.dtype), (tensor,), {}, Spec(tensor.shape, declared.dtype), node.site)


def as_declared(tensor: Tensor, declared: Tensor, graph: Graph) -> Tensor:
    """Return a symbolic tensor in the dtype in which a nested model takes it; the node is the same."""
    if not is_cast(tensor.dtype, declared, graph):
        return tensor
    return type(tensor)(tensor.node, tensor.index, Spec(tensor.shape, declared.dtype))
