"""What the passes know of a call in an fx graph: torch's own facts, and what torch does not say."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch.fx import Node

from anabranch.runtime import torch_facts

CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)

# What torch does not say.
# Results are of floats whatever is noted: these refuse integers.
FLOATS = frozenset({*CONVOLUTIONS, *TRANSPOSED, F.linear, F.batch_norm})
# Which gradients do not look at the result again, so that it may be overwritten while gradients are asked for.
RESULT_UNSAVED = FLOATS | frozenset({
    torch.max_pool1d, torch.max_pool2d, torch.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, torch.avg_pool1d, torch.cat,
    F.pad, operator.add, operator.sub, operator.mul, torch.add, torch.sub, torch.mul, "add", "sub", "mul",
})  # fmt: skip
# Which of these are views of what torch computes, as those of dense layers are for more than rows.
RESULT_VIEWED = frozenset({torch.max_pool1d, torch.avg_pool1d, F.avg_pool1d})
# Which gradients need the result alone, so that the input may be overwritten: the function in place.
IN_PLACE_BY_RESULT: dict[Any, Any] = {
    torch.relu: torch.relu_, F.relu: torch.relu_, "relu": torch.relu_, torch.sigmoid: torch.sigmoid_, torch.tanh: torch.tanh_,
    torch.exp: torch.exp_,
}  # fmt: skip
# Which functions work in place by a flag, and which of their gradients need the result alone.
IN_PLACE_BY_FLAG = frozenset({
    F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardtanh, F.hardsigmoid, F.hardswish,
})  # fmt: skip
FLAG_BY_RESULT = frozenset({F.relu6, F.hardtanh, F.selu})

_LOOKS = frozenset({getattr, operator.getitem})


def facts(node: Node) -> torch_facts.TorchFacts:
    """Return torch's facts of a node; of what is no call of torch's nothing is known."""
    if node.op not in ("call_function", "call_method"):
        return torch_facts.UNKNOWN
    return torch_facts.facts(node.target, node.args, node.kwargs)


def is_pure(node: object) -> bool:
    """Return whether the same arguments give the same tensor, and nothing else happens."""
    return isinstance(node, Node) and facts(node).pure


def is_needless(node: Node) -> bool:
    """Return whether a call need not be made where nobody takes its result."""
    return is_pure(node) or (node.op == "call_function" and node.target in _LOOKS)


def is_elementwise(node: Node) -> bool:
    """Return whether a node is pure and works element by element, as a module does that is noted to."""
    if node.op == "call_module":
        return bool(node.meta.get("pointwise"))
    return node.op in ("call_function", "call_method") and torch_facts.maps_elements(node.target, node.args, node.kwargs)


def is_reduction(node: Node) -> bool:
    """Return whether a node is a method that takes the axes to reduce: ``x.mean(axes, keepdim=…)``."""
    return node.op == "call_method" and torch_facts.reduces(node.target)


def mutates(node: Node) -> bool:
    """Return whether a call changes an argument."""
    if node.op not in ("call_function", "call_method"):
        return False
    return torch_facts.named_as_mutating(node.target) or facts(node).mutates
