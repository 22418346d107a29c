"""Run a graph step by step on whatever its layers accept: tensors, recorded values, fake tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anabranch import _tree, ops
from anabranch.graph import Graph, flatten, with_values


def interpret(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """Return the graph's flat outputs for flat ``inputs``."""
    flat = flatten(graph)
    values: dict[int, Any] = dict(zip(flat.inputs, inputs, strict=True))
    for step in flat.steps:
        args, kwargs = with_values(step.node, [values[number] for number in step.inputs])
        results = _tree.leaves(ops.run(step.node.operation, args, kwargs))
        values.update(zip(step.outputs, results, strict=True))
    return [values[number] for number in flat.outputs]
