"""Activations and sums are written over their input where nothing looks at that again: no new memory is touched.

While gradients are asked for, an input may go where neither the gradient of what made it nor that of the activation needs it
(a convolution's gradient needs its input, a ReLU's its result), and where the input is no view to them.
"""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node

from anabranch._asked import name_of
from anabranch.engine.passes.base import Call, Note, Pass, Settings, always
from anabranch.engine.passes.fusion import FUSED, INTO_SUM, WITH_SUM
from anabranch.engine.passes.nodes import argument, only_user, path_of, shape_of
from anabranch.engine.passes.operations import (
    FLAG_BY_RESULT,
    FLOATS,
    IN_PLACE_BY_FLAG,
    IN_PLACE_BY_RESULT,
    RESULT_UNSAVED,
    RESULT_VIEWED,
    facts,
    mutates,
)  # fmt: skip

_SUMS = {operator.add: "add_", operator.mul: "mul_"}
# May give fewer samples than they take, which a shape whose batch is unknown does not show.
_OF_SAMPLES = frozenset((
    "as_strided", "chunk", "dynamic_slice", "gather", "index_select", "masked_select", "narrow", "slice", "split", "take",
    "take_along_axis", "take_along_dim", "tensor_split", "topk", "top_k", "unbind", "unfold",
))  # fmt: skip


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note what works in place, and what could not."""
    owned: set[Node] = set()  # values in memory that nobody else has
    seen: set[Node] = set()
    parts: set[Node] = set()  # what may have fewer samples than the batch, and what is made of it
    notes = []
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method"):
            continue
        if _takes_samples(node) or not parts.isdisjoint(node.all_input_nodes):
            parts.add(node)
        why = _convolved_sum(node, owned, seen) if node.target is WITH_SUM else _overwrite(node, owned, settings)
        seen.add(node)
        if why is not None:
            notes.append(Note(path_of(node), not why, why or "in place"))
        made = (_gives_own(node) and (settings.no_grad or not _gives_view(node))) or _is_first_result(node)
        passed_on = node.target == "add_" or (settings.no_grad and mutates(node))
        if node in parts:
            continue
        if made or (passed_on and node.args[0] in owned) or (settings.no_grad and _is_new(node)):
            owned.add(node)
    return notes


def _overwrite(node: Call, owned: set[Node], settings: Settings) -> str | None:
    """Let a node work in place where it can: return "", or why it cannot, or None where that is no question."""
    if node.target in _SUMS:
        needless = settings.no_grad or node.target is operator.add  # the gradient of a product needs its factors
        return _sum(node, owned) if needless and len(node.all_input_nodes) == 2 else None
    if node.target not in IN_PLACE_BY_RESULT and node.target not in IN_PLACE_BY_FLAG:
        return None
    source: Call = node.args[0]
    if source not in owned:
        return "its input may be needed for gradients, is a view to them, or is not the model's own"
    if only_user(source) is not node:
        return "its input is needed elsewhere too"
    if source.target not in FLOATS and source.target not in FUSED and "float" not in str(source.meta.get("dtype")):
        return "its input may not be of floats"
    if node.target in IN_PLACE_BY_RESULT:
        node.target, node.op, node.kwargs = IN_PLACE_BY_RESULT[node.target], "call_function", {}
    elif settings.no_grad or node.target in FLAG_BY_RESULT or _slopes_up(node):
        node.kwargs = {**node.kwargs, "inplace": True}
    else:
        return "its gradient needs its input"
    return ""


def _sum(node: Call, owned: set[Node]) -> str | None:
    """Add to, or multiply, one of two values of the same shape and type in its own memory."""
    shapes, kinds = ([value.meta.get(key) for value in (node, *node.all_input_nodes)] for key in ("shape", "dtype"))
    if None in shapes or None in kinds or len(set(shapes)) != 1 or len(set(kinds)) != 1:
        return None
    if any(None in shape[1:] for shape in shapes):
        return "sizes that are not known may be stretched"
    first, second = node.args
    free = [value for value in (first, second) if value in owned and only_user(value) is node]
    if not free:
        return "both are needed elsewhere too"
    other = second if free[0] is first else first
    node.op, node.target, node.args = "call_method", _SUMS[node.target], (free[0], other)
    return ""


def _takes_samples(node: Call) -> bool:
    """Return whether a call may give a part of the batch."""
    if node.target is not operator.getitem:
        return (node.target if isinstance(node.target, str) else name_of(node.target)) in _OF_SAMPLES
    sizes, key = shape_of(node.args[0]), node.args[1]
    if sizes is None:  # one of several results
        return False
    keys = key if isinstance(key, tuple) else (key,)
    taken = sum(each is not None and each is not Ellipsis for each in keys)
    first = next((each for each in keys if each is not None and (each is not Ellipsis or taken < len(sizes))), None)
    return first is not None and first is not Ellipsis and first != slice(None)


def _convolved_sum(node: Call, owned: set[Node], seen: set[Node]) -> str:
    """Let a convolution add to a value in that value's memory, where all others have read it by then."""
    x, other, *rest = node.args
    if other not in owned:
        return "what is added is not the model's own"
    others = other.users.keys() - {node}
    if other is x or not others <= seen or not all(map(_gives_own, others)):
        return "what is added is needed elsewhere too"
    node.target, node.args = INTO_SUM, (other, x, *rest)
    return ""


def _gives_own(node: Call) -> bool:
    """Return whether a result is memory of its own that its gradient does not need."""
    return node.target in RESULT_UNSAVED or node.target in FUSED


def _gives_view(node: Call) -> bool:
    """Return whether torch's gradients take the result for a view; writing over one costs them copies of the whole."""
    if node.target is F.linear:
        return len(shape_of(node) or ()) != 2
    return node.target in RESULT_VIEWED


def _is_new(node: Call) -> bool:
    """Return whether the result is memory of its own."""
    known = facts(node)
    return known.pure and not known.may_alias


def _slopes_up(node: Call) -> bool:
    """Return whether an activation's gradient follows from its result: where its slope below 0 is a positive number."""
    slope = argument(node, 1, "negative_slope" if node.target is F.leaky_relu else "alpha", 1.0)
    return node.target in (F.leaky_relu, F.elu, F.celu) and isinstance(slope, (int, float)) and slope > 0


def _is_first_result(node: Call) -> bool:
    """Return whether a node takes the normalized values out of what a normalization of the batch gives."""
    source = node.args[0] if node.target is operator.getitem else None
    return isinstance(source, Node) and "native_batch_norm" in str(source.target) and node.args[1] == 0


IN_PLACE = Pass(
    "in_place",
    requires="memory that the code itself made, that nothing else reads afterwards",
    ensures="the same values, in less memory",
    unfit=always,
    run=run,
)
