"""Each operation is called in the quickest way that Python has to it: torch's own function, method, or the overload itself."""

from __future__ import annotations

import types

import torch
from torch._ops import OpOverload
from torch.fx import Graph

from anabranch._asked import method


def shorten(graph: Graph) -> None:
    """Rewrite a graph in place: torch's functions of the same schema in the place of aten operations."""
    for node in graph.nodes:
        if isinstance(node.target, OpOverload):
            if node.target is torch.ops.aten.clamp_min.out and node.args == (node.kwargs["out"], 0):
                node.target, node.args, node.kwargs = torch.relu_, node.args[:1], {}  # the same kernel, in half of the time
                continue
            schema = node.target._schema
            written = [each.name for each in schema.arguments if each.kwarg_only and each.alias_info is not None]
            function = method(torch, schema.name.removeprefix("aten::"))
            if isinstance(function, types.BuiltinFunctionType) and written in ([], ["out"]):
                node.target = function
