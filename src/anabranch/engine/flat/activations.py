"""A product and the relu of it become one call, which does the same; relu alone has the name of what it calls on a CPU."""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

_ADDMM, _RELU = torch.ops.aten.addmm.default, torch.ops.aten.relu.default


def join(graph: Graph) -> None:
    """Rewrite a noted graph in place."""
    for node in [*graph.nodes]:
        if node.target is _RELU:
            product = node.args[0]
            if isinstance(product, Node) and product is node.prev and _is_plain_product(product):
                node.target, node.args = torch.ops.aten._addmm_activation.default, product.args
                graph.erase_node(product)
            else:  # which has a kernel that writes into given memory
                node.target, node.args = torch.ops.aten.clamp_min.default, (product, 0)


def _is_plain_product(node: Node) -> bool:
    return node.target is _ADDMM and not node.kwargs and len(node.users) == 1
