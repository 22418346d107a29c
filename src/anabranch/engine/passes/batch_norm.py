"""A batch normalization by fixed statistics becomes part of the convolution or dense layer before it.

γ · (W x + b - μ) / √(σ² + ε) + β = (s W) x + s (b - μ) + β with s = γ / √(σ² + ε), by output channel (Jacob et al. 2018, §3.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node
from torch.fx.node import Argument

from anabranch.engine.passes.base import Call, Note, Pass, Settings, constants_only
from anabranch.engine.passes.nodes import argument, is_call, kind_of, like, only_user, path_of
from anabranch.engine.passes.operations import CONVOLUTIONS, TRANSPOSED

_LINEAR = (F.linear,)


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note which normalizations are left."""
    notes = []
    for node in list(graph.nodes):
        if not is_call(node, (F.batch_norm,)):
            continue
        why, source = _refusal(node, settings), node.args[0]
        if not why:
            _fold(graph, node, kind_of(root, source.args[1]))
        notes.append(Note(path_of(node), not why, why or f"part of {path_of(source)}"))
    return notes


def _refusal(node: Call, settings: Settings) -> str:
    """Return why a normalization cannot be folded, or ""."""
    source = node.args[0]
    if argument(node, 5, "training", False):
        return "it takes the batch's own statistics"
    if not is_call(source, (*CONVOLUTIONS, *TRANSPOSED, *_LINEAR)):
        return "no convolution or dense layer is right before it"
    if source.target in _LINEAR and len(source.meta.get("shape", ())) != 2:
        return "the dense layer before it gives no rows of the normalized channels"
    if source.target in _LINEAR and settings.single:
        return "one sample uses each weight of a dense layer once: to compare them would cost more"
    if only_user(source) is not node:
        return f"the result of {path_of(source)} is needed elsewhere too"
    if source.target in TRANSPOSED and argument(source, 6, "groups", 1) != 1:
        return "the convolution before it is transposed and grouped"
    return ""


def _fold(graph: Graph, node: Call, kind: torch.dtype | None) -> None:
    source, mean, variance = node.args[:3]
    gamma, beta, epsilon = argument(node, 3, "weight"), argument(node, 4, "bias"), argument(node, 7, "eps", 1e-5)
    x, kernel, *rest = source.args
    bias, *rest = rest or [None]
    kernel, bias = _uncast(kernel), _uncast(bias)
    with graph.inserting_before(node):
        call, method = graph.call_function, graph.call_method
        scale = call(torch.rsqrt, (call(torch.add, (variance, epsilon)),))
        scale = scale if gamma is None else call(torch.mul, (scale, gamma))
        axis = 1 if source.target in TRANSPOSED else 0
        dimensions = 2 if source.target in _LINEAR else 3 + (*CONVOLUTIONS, *TRANSPOSED).index(source.target) % 3
        spread = [-1 if place == axis else 1 for place in range(dimensions)]
        scaled = call(torch.mul, (kernel, method("reshape", (scale, spread))))
        centred = method("neg", (mean,)) if bias is None else call(torch.sub, (bias, mean))
        shift = call(torch.mul, (centred, scale))
        shift = shift if beta is None else call(torch.add, (shift, beta))
        if kind not in (None, torch.float32):  # what is stored in float32 is folded before it is rounded
            scaled, shift = (method("to", (part, kind)) for part in (scaled, shift))
        for part in (scale, scaled, shift):
            part.meta["path"] = path_of(source)
        made = like(call(source.target, (x, scaled, shift, *rest), dict(source.kwargs)), node)
    made.meta["path"] = path_of(source)
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    graph.erase_node(source)


def _uncast(value: Argument) -> Argument:
    """Return what a cast takes, or the value itself."""
    return value.args[0] if isinstance(value, Node) and is_call(value, ("to",)) else value


BATCH_NORM = Pass(
    "batch_norm",
    requires="fixed statistics, and a convolution or dense layer before it whose result nothing else takes",
    ensures="the same values to rounding",
    unfit=constants_only,
    run=run,
)
