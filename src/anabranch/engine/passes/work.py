"""How much arithmetic a graph is."""

from __future__ import annotations

import math

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.nodes import attribute, is_call, only_user, shape_of, way_of
from anabranch.engine.passes.operations import CONVOLUTIONS

HEAVY = 10**9
"""Multiplications a sample from which on calls cost little beside them: a ResNet-50 of 224 × 224 images has 4 · 10⁹.

It takes one image in 66 ms as torch has its kernels, and in 44 with kernels in blocks, whose weights are looked at in 5 ms. A
ResNet-20 of 32 × 32 has 4 · 10⁷ and gains nothing.
"""


def multiplications(graph: Graph, root: torch.nn.Module) -> int:
    """Return how often the convolutions of traced code multiply for one sample, as far as sizes are known."""
    total = 0
    for node in graph.nodes:
        way = way_of(node.args[1]) if is_call(node, CONVOLUTIONS) else []
        if way:
            kernel = attribute(root, way[-1].target)
            total += _size(node) * kernel.numel() // len(kernel)
    return total


def _size(node: Node | None) -> int:
    """Return the size of one sample's result, whose shape is noted on the last operation of a layer; 0 if it is unknown."""
    while node is not None and shape_of(node) is None:
        node = only_user(node)
    return math.prod(size or 0 for size in (shape_of(node) or (0, 0))[1:])
