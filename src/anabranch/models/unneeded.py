"""What is said of a new model's inputs that none of its outputs needs."""

from __future__ import annotations

from anabranch.graph import Graph
from anabranch.graph.call_site import warn
from anabranch.layers.core import InputLayer


def warn_of_inputs(graph: Graph) -> None:
    """Warn of an ``Input`` that no output needs, as Keras does not: what is fed there never counts.

    Those of a model that is there already are left out: ``Model(model.inputs, inner)`` cuts out a part and may need fewer.
    """
    used = {tensor.key for node in graph.nodes for tensor in node.inputs} | {tensor.key for tensor in graph.outputs}
    for tensor in graph.inputs:
        operation = tensor.node.operation
        if tensor.key not in used and isinstance(operation, InputLayer) and not operation.models:
            warn(
                f"No output needs {operation.error_label()}, made at {tensor.node.site}: what is fed there will not count. "
                "Connect it, or leave it out of the inputs."
            )
