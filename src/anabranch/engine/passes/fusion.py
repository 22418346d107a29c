"""Convolutions and dense layers take their activation, and the addition of a residual branch, into one call of oneDNN.

y = f(W x + b) or f(W x + b + other), the weights reordered beforehand into the blocks that the library's kernels read. For
inference only: while training, the activation in place measured the same and keeps torch's own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call, Note, Pass, Settings, constants_only
from anabranch.engine.passes.nodes import (
    addition_of,
    argument,
    attribute,
    is_call,
    kind_of,
    like,
    only_user,
    path_of,
    shape_of,
    way_of,
)

_mkldnn: Any = torch.ops.mkldnn
PACKING = (_mkldnn._reorder_convolution_weight.default, _mkldnn._reorder_linear_weight.default)
FUSED = (_mkldnn._convolution_pointwise.default, _mkldnn._convolution_pointwise.binary, _mkldnn._linear_pointwise.default)
WITH_SUM, INTO_SUM = FUSED[1], _mkldnn._convolution_pointwise_.binary  # into new memory, and over the value that is added
USUAL = 64  # samples in the batches that kernels are laid out for
LEAST_DENSE = 1 << 18  # elements of a dense kernel below which the plain call is faster
Activation = tuple[str, list[float], str]  # how oneDNN's wrapper names an activation: name, numbers, algorithm
NOTHING: Activation = ("none", [], "")

_ACTIVATIONS: dict[Any, Callable[[Node], Activation]] = {
    torch.relu: lambda node: ("relu", [], ""),
    F.relu: lambda node: ("relu", [], ""),
    torch.sigmoid: lambda node: ("sigmoid", [], ""),
    torch.tanh: lambda node: ("tanh", [], ""),
    F.silu: lambda node: ("swish", [], ""),
    F.hardswish: lambda node: ("hardswish", [], ""),
    F.hardsigmoid: lambda node: ("hardsigmoid", [], ""),
    F.relu6: lambda node: ("hardtanh", [0.0, 6.0], ""),
    F.leaky_relu: lambda node: ("leaky_relu", [argument(node, 1, "negative_slope", 0.01)], ""),
    F.gelu: lambda node: ("gelu", [], argument(node, 1, "approximate", "none")),
}


def unfit(settings: Settings) -> str:
    """Return why nothing is fused with these settings, or ""."""
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's
    return constants_only(settings) or ("" if known else "this torch was built without oneDNN")


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note what became one call."""
    notes = []
    for node in list(graph.nodes):
        if is_call(node, (torch.conv2d,)):
            notes.append(_fuse_convolution(graph, root, node, 1 if settings.single else USUAL))
        elif is_call(node, (F.linear,)):
            notes.append(_fuse_dense(graph, root, node, settings))
    return notes


def _fuse_convolution(graph: Graph, root: torch.nn.Module, node: Call, batch: int) -> Note:
    if len(node.args) != 7 or node.kwargs or isinstance(node.args[4], str):
        return Note(path_of(node), False, "written with other arguments than a layer's")
    x, kernel, bias, *geometry = node.args
    if (kind := kind_of(root, kernel)) not in _kinds():
        return Note(path_of(node), False, f"computes in {kind}")
    strides, padding, dilation, groups = [*map(_listed, geometry[:3]), geometry[3]]
    last, activation = _followed(node)
    addition = None if activation else addition_of(node)
    other = None
    if addition is not None:
        other = next(value for value in addition.all_input_nodes if value is not node)
        follower = only_user(addition)
        last = follower if is_call(follower, (torch.relu, F.relu)) else addition
    size = shape_of(x)
    hint = [batch, *size[1:]] if size and all(isinstance(length, int) for length in size[1:]) else None
    with graph.inserting_before(last):
        packed = graph.call_function(PACKING[0], (kernel, padding, strides, dilation, groups, hint))
        packed.meta["path"] = path_of(node)
        shared = (packed, bias, padding, strides, dilation, groups)
        if other is None:
            made = graph.call_function(FUSED[0], (x, *shared, *(activation or NOTHING)))
        else:
            after = None if last is addition else "relu"
            made = graph.call_function(WITH_SUM, (x, other, *shared, "add", 1.0, after, [], ""))
    parts = [f"the sum {path_of(addition)}"] if addition is not None else []
    parts += ["the activation"] if last not in (node, addition) else []
    _replace(graph, made, node, last, addition)
    return Note(path_of(node), True, "with " + " and ".join(parts) if parts else "its kernel in blocks")


def _fuse_dense(graph: Graph, root: torch.nn.Module, node: Call, settings: Settings) -> Note:
    x, kernel, *rest = node.args
    if settings.single:
        return Note(path_of(node), False, "one sample uses each weight once: to compare them would cost more")
    if (kind := kind_of(root, kernel)) not in _kinds():
        return Note(path_of(node), False, f"computes in {kind}")
    if attribute(root, way_of(kernel)[-1].target).numel() < LEAST_DENSE:
        return Note(path_of(node), False, "small: the plain call is faster")
    last, activation = _followed(node)
    with graph.inserting_before(last):
        packed = graph.call_function(PACKING[1], (kernel, USUAL))
        packed.meta["path"] = path_of(node)
        made = graph.call_function(FUSED[2], (x, packed, rest[0] if rest else None, *(activation or NOTHING)))
    _replace(graph, made, node, last, None)
    return Note(path_of(node), True, "with the activation" if activation else "its kernel in blocks")


def _followed(node: Call) -> tuple[Call, Activation | None]:
    """Return the activation that alone takes the node's result, and how oneDNN calls it; else the node itself and None."""
    user = only_user(node)
    if user is None or user.target not in _ACTIVATIONS or user.args[0] is not node or user.kwargs.get("inplace"):
        return node, None
    activation = _ACTIVATIONS[user.target](user)
    return (user, activation) if all(isinstance(number, (int, float)) for number in activation[1]) else (node, None)


def _replace(graph: Graph, made: Node, node: Call, last: Call, between: Call | None) -> None:
    like(made, last)
    made.meta["path"] = node.meta.get("path", made.name)
    last.replace_all_uses_with(made)
    for gone in dict.fromkeys((last, *([between] if between is not None else []), node)):
        graph.erase_node(gone)


def _kinds() -> tuple[torch.dtype, ...]:
    """Return the types that oneDNN computes in on this processor."""
    return (torch.float32, torch.bfloat16) if _mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def _listed(values: Sequence[int]) -> list[int]:
    return list(values)


FUSION = Pass(
    "fusion",
    requires="float32 or bfloat16, oneDNN, batches of several samples, an activation or sum that alone takes the result",
    ensures="the same values to rounding",
    unfit=unfit,
    run=run,
)
