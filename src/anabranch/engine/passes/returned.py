"""The rest of a model takes a returned value from what is returned, so that gradients with respect to that are known.

An image inside a model is channels first, and what is returned a view of it, channels last. Whoever asks for the gradient of a
score with respect to a returned feature map (Grad-CAM) means the map that the score follows from: the rest takes it there.
"""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from anabranch import _tree
from anabranch.engine.passes.base import Call, Note, Pass, Settings
from anabranch.engine.passes.layout import PERMUTES, order_of
from anabranch.engine.passes.nodes import is_call, like, path_of


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note which values are taken from what is returned."""
    output = graph.output_node()
    notes = []
    for view in dict.fromkeys(each for each in _tree.leaves(output.args) if is_call(each, PERMUTES)):
        source, order = view.args[0], order_of(view)
        others = [user for user in source.users if user is not view]
        if order is not None and isinstance(source, Node) and others:
            _take_back(graph, view, order, others)
            notes.append(Note(path_of(view), True, "what follows from it takes it from what is returned"))
    return notes


def _take_back(graph: Graph, view: Call, order: tuple[int, ...], others: list[Node]) -> None:
    source = last = view.args[0]
    while last.op == last.next.op == "placeholder":  # inputs come first, all of them
        last = last.next
    with graph.inserting_after(last):
        returned = like(graph.call_method("permute", (source, *order)), view)
    with graph.inserting_after(returned):
        back = like(graph.call_method("permute", (returned, *(order.index(axis) for axis in range(len(order))))), source)
    for user in others:
        user.replace_input_with(source, back)
    view.replace_all_uses_with(returned)
    graph.erase_node(view)


def _unfit(settings: Settings) -> str:
    return "no gradient will be asked for" if settings.no_grad else ""


RETURNED = Pass(
    "returned",
    requires="a permutation that is returned",
    ensures="the same values; gradients with respect to what is returned",
    unfit=_unfit,
    run=run,
)
