"""Small matrix products run in one thread, as several would wait for each other longer than they compute."""

from __future__ import annotations

import math

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node

from anabranch._asked import method
from anabranch.engine.flat.noting import window_of
from anabranch.runtime.host_threads import ELEMENTS, PRODUCTS
from anabranch.runtime.torch_facts import is_pointwise

_FACTORS = {"aten::mm": 0, "aten::addmm": 1, "aten::_addmm_activation": 1, "aten::bmm": 0, "aten::baddbmm": 1}
"""Positions of the first of two matrices, or stacks of them."""


def share(graph: Graph, threads: int) -> None:
    """Rewrite a graph in place: let one thread run its small products, and as many as before what else is not small."""
    now = threads
    for node in [*graph.nodes]:
        wanted = _wanted(node, threads)
        if wanted not in (None, now):
            now = wanted
            with graph.inserting_before(node):
                graph.call_function(torch.set_num_threads, (now,))


def _wanted(node: Node, threads: int) -> int | None:
    """Return in how many threads a call is to run; None where that makes no difference."""
    if not isinstance(node.target, OpOverload):
        return None
    first = _FACTORS.get(node.target._schema.name)
    if first is not None:
        one, other = (window_of(each) for each in node.args[first : first + 2])
        if one and other:
            return 1 if math.prod(one.size) * other.size[-1] < PRODUCTS else threads
    plain = method(node.target.overloadpacket, "default")
    sizes = [math.prod(window.size) for each in node.all_input_nodes if (window := window_of(each))]
    indifferent = isinstance(plain, OpOverload) and is_pointwise(plain) and max(sizes, default=0) < ELEMENTS
    return None if indifferent else threads
