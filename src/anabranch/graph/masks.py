"""How far the masks of values reach: over how many leading axes, from a description alone; 0 is no mask.

A mask is a second value of an edge, one boolean for each position along the leading axes: (B, T) of (B, T, C). Layers have a
rule each (``mask_reach``), nested models are walked, functions state theirs among their facts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch._asked import has_shape
from anabranch.graph.call_site import warn
from anabranch.graph.facts import Inputs
from anabranch.graph.records import MaskedSpec, Node, Operation, Spec, Tensor

if TYPE_CHECKING:
    from anabranch.graph.graph import Graph


def reaches(node: Node, given: Sequence[int]) -> tuple[int, ...]:
    """Return over how many leading axes each output of ``node`` is masked, where its inputs are as ``given``; () is none."""
    operation = node.operation
    if operation._graph_ is not None:
        return through(operation._graph_, given)
    if operation._is_function_:
        if not any(given):
            return ()
        reach = of_function(operation, node.args, node.kwargs, _inputs(node, given))
        return (reach,) * node.output_count if reach else ()
    stated = operation._mask_reach_(node, given)
    seen = _seen(node.output_specs)
    if not any(stated) and not any(seen):
        return ()
    found = tuple(rule or reach for rule, reach in itertools.zip_longest(stated, seen, fillvalue=0))
    return found if any(found) else ()


def _inputs(node: Node, given: Sequence[int]) -> Inputs:
    """Return shape and reach of each array among a node's arguments."""
    known = iter(given)
    arrays = [leaf for leaf in _tree.leaves((node.args, list(node.kwargs.values()))) if has_shape(leaf)]
    return [(tuple(leaf.shape), next(known) if isinstance(leaf, Tensor) else 0) for leaf in arrays]


def of_function(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
    """Return how far the mask of a function's results reaches; it is the logical and of the inputs' masks."""
    return operation._mask_axes_after_(args, kwargs, inputs) if any(reach for _, reach in inputs) else 0


def warn_of_lost(node: Node) -> None:
    """Warn at the user's line of ``node``, where masks end, if a torch operation ends them of which nothing is known."""
    operation, given = node.operation, [tensor.mask_axes for tensor in node.inputs]
    if operation._is_function_ and (unknown := operation._unknown_in_(_inputs(node, given))):
        warn(
            f"The mask of what {operation._error_label_()} takes ends here: which positions count after torch's {unknown} is "
            "not known. A Lambda layer with mask=… passes it on, and so does a layer of your own with compute_mask.",
            node.site,
        )


def _seen(specs: _tree.Nest) -> Sequence[int]:
    """Return how far the masks reach that values were seen to carry when their specs were inferred; () for one without."""
    if isinstance(specs, Spec):
        return (specs.mask_axes,) if isinstance(specs, MaskedSpec) else ()
    return [reach for part in (specs.values() if isinstance(specs, dict) else specs) for reach in _seen(part)]


def through(graph: Graph, given: Sequence[int]) -> tuple[int, ...]:
    """Return how far the masks of a graph's outputs reach where its inputs are as ``given``."""
    if not any(given) and not any(tensor.mask_axes for tensor in graph.inputs):
        found = tuple(tensor.mask_axes for tensor in graph.outputs)
        return found if any(found) else ()
    known: dict[tuple[Any, int], int] = {t.key: reach for t, reach in zip(graph.inputs, given, strict=False)}
    for node in graph.nodes:
        if node.inputs:
            for index, reach in enumerate(reaches(node, [known.get(t.key, 0) for t in node.inputs])):
                known.setdefault((node, index), reach)
    found = tuple(known.get(tensor.key, 0) for tensor in graph.outputs)
    return found if any(found) else ()
