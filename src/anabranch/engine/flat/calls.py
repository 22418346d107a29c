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
            name = node.target._schema.name.removeprefix("aten::")
            function = method(torch, name)
            if isinstance(function, types.BuiltinFunctionType):
                node.target = function
