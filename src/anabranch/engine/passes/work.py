"""How much arithmetic a graph is."""

from __future__ import annotations

import math

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call
from anabranch.engine.passes.nodes import attribute, is_call, only_user, shape_of, way_of
from anabranch.engine.passes.operations import CONVOLUTIONS

WORTH = 8
"""Multiplications of a sample by each weight of a convolution, from which on its kernels are held in blocks for batches of one.

To compare a weight with a copy of it, so that no change is missed, costs as much as a few multiplications; to bring it into
blocks for each sample costs several times that. A toy ResNet has 160, a ResNet-50 170, a MobileNetV2 of 96 × 96 images 25;
convolutions over images as small as their kernels have 1.
"""


def reuse(graph: Graph, root: torch.nn.Module) -> int:
    """Return how often the convolutions of traced code use a weight for one sample, as far as sizes are known."""
    kernels = {node: way[-1].target for node in graph.nodes if (way := _kernel(node))}
    weights: int = sum(attribute(root, target).numel() for target in set(kernels.values()))
    return multiplications(graph, root) // max(weights, 1)


def multiplications(graph: Graph, root: torch.nn.Module) -> int:
    """Return how often the convolutions of traced code multiply for one sample, as far as sizes are known."""
    total = 0
    for node in graph.nodes:
        if way := _kernel(node):
            kernel = attribute(root, way[-1].target)
            total += _size(node) * kernel.numel() // len(kernel)
    return total


def _kernel(node: Node) -> list[Call]:
    return way_of(node.args[1]) if is_call(node, CONVOLUTIONS) else []


def _size(node: Node | None) -> int:
    """Return the size of one sample's result, whose shape is noted on the last operation of a layer; 0 if it is unknown."""
    while node is not None and shape_of(node) is None:
        node = only_user(node)
    return math.prod(size or 0 for size in (shape_of(node) or (0, 0))[1:])
