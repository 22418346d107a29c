"""In steps that a GPU replays, what works element by element becomes fewer, larger kernels: those of ``engine/kernels``.

A replayed step keeps the device busy without gaps, so that its time is how often memory is read and written. The bias of a
convolution, its activation and a residual sum each read and write an image, and so do their gradients; one kernel does it once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node

from anabranch import runtime
from anabranch.engine.kernels.limits import BY_RESULT, DTYPES, WINDOW
from anabranch.engine.kernels.trial import failure
from anabranch.engine.passes.base import Call, Note, Pass, Settings
from anabranch.engine.passes.nodes import (
    ADDITIONS,
    addition_of,
    argument,
    erase_unread,
    is_call,
    like,
    noted,
    only_user,
    path_of,
)
from anabranch.engine.passes.operations import is_needless

_KINDS = tuple(str(dtype).removeprefix("torch.") for dtype in DTYPES)
_NORMALIZED = ("input", "running_mean", "running_var", "weight", "bias")
_POOLED = ("input", "kernel_size", "stride", "padding")
_AXES: dict[Any, int] = {torch.conv2d: 1, torch.conv_transpose2d: 1, F.linear: -1}  # the channels' axis in the result
_ACTIVATIONS: dict[Any, Callable[[Node], str]] = {
    torch.relu: lambda node: "relu",
    F.relu: lambda node: "relu",
    F.relu6: lambda node: "relu6",
    F.silu: lambda node: "silu",
    F.gelu: lambda node: "gelu" if argument(node, 1, "approximate", "none") == "none" else "none",
}


class Chain(NamedTuple):
    """What follows one node and is taken by nothing else: a sum, an activation, another sum; ``nodes`` are these."""

    nodes: tuple[Call, ...]
    activation: str
    before: Node | None
    after: Node | None

    @property
    def last(self) -> Call:
        """The node that gives the result."""
        return self.nodes[-1]

    def note(self, node: Node, *first: str) -> Note:
        """Return what became one kernel."""
        words = [*first, *([self.activation] if self.activation != "none" else [])]
        words += [f"the sum {path_of(each)}" for each in self.nodes if is_call(each, ADDITIONS)]
        return Note(path_of(node), True, "one kernel: " + ", ".join(words))


def unfit(settings: Settings) -> str:
    """Return why these kernels are not used with these settings, or ""."""
    if settings.compiled:
        return "torch.compile fuses by itself"
    if not settings.replayed:
        return "for steps that are replayed as CUDA graphs; elsewhere launching them takes the host longer than they save"
    if not settings.training and not settings.no_grad:
        return "a call of the model is not replayed, and gradients of its gradients may be asked for"
    return failure(runtime.device())


def run(graph: Graph, root: torch.nn.Module, settings: Settings) -> list[Note]:
    """Rewrite the graph and note what became one kernel."""
    from anabranch.engine.kernels import batch_norm, bias_activation, max_pool  # noqa: F401  # they make the operators

    notes = []
    for node in list(graph.nodes):
        if node._erased:
            continue
        if is_call(node, _AXES):
            notes.append(_with_bias(graph, node))
        elif is_call(node, (torch.native_batch_norm,)):
            notes.append(_by_batch(graph, node))
        elif is_call(node, (F.batch_norm,)) and settings.no_grad:
            notes.append(_by_fixed_statistics(graph, node))
        elif is_call(node, (torch.max_pool2d,)):
            notes.append(_pooled(graph, node))
    erase_unread(graph, is_needless)  # casts of biases
    return [note for note in notes if note is not None]


def _chain(node: Call, ranks: tuple[int, ...], place: Node | None = None) -> Chain | None:
    """Return what follows a node, where anything does; before ``place`` if the result is to be there."""
    nodes, activation, before, after = [node], "none", None, None
    if addition := _sum_of(node, place):
        nodes.append(addition)
        before = _other(addition, node)
    user = only_user(nodes[-1])
    if user is not None and user.target in _ACTIVATIONS and user.args[0] is nodes[-1] and not user.kwargs.get("inplace"):
        activation = _ACTIVATIONS[user.target](user)
    if activation != "none":
        nodes.append(user)
        if place is None and (addition := _sum_of(user, None)):
            nodes.append(addition)
            after = _other(addition, user)
    shape, kind = noted(nodes[-1])
    if len(nodes) == 1 or kind not in _KINDS or shape is None or len(shape) not in ranks:
        return None
    return Chain(tuple(nodes[1:]), activation, before, after)


def _sum_of(node: Call, place: Node | None) -> Call | None:
    addition = addition_of(node)
    if addition is None or None in (noted(addition)[0] or ())[1:]:  # sizes that are not known may be stretched
        return None
    return None if place is not None and not _other(addition, node) < place else addition


def _other(addition: Call, node: Node) -> Node:
    first, second = addition.args
    found: Node = second if first is node else first
    return found


def _with_bias(graph: Graph, node: Call) -> Note | None:
    """Let a convolution or dense layer give its bias to the kernel of what follows."""
    chain = _chain(node, (4,) if _AXES[node.target] == 1 else (2, 3, 4))
    bias = argument(node, 2, "bias")
    if chain is None or (bias is None and len(chain.nodes) == 1):
        return None
    with graph.inserting_before(chain.last):
        made = graph.call_function(
            torch.ops.anabranch.bias_activation.default,
            (node, _uncast(bias), chain.before, chain.after, chain.activation, _AXES[node.target]),
        )
    _set_argument(node, 2, "bias", None)
    _replace(graph, chain, made)
    return chain.note(node, *(["the bias"] if bias is not None else []))


def _by_batch(graph: Graph, node: Call) -> Note | None:
    """Let a normalization by the batch's statistics go on with what follows."""
    x, gamma, beta, mean, variance, training, _, epsilon = node.args
    y: Call = next((user for user in node.users if user.target is operator.getitem and user.args[1] == 0), None)
    chain = None if y is None or not training or mean is not None or variance is not None else _chain(y, (2, 4), node)
    if chain is None or chain.activation not in BY_RESULT:
        return None
    with graph.inserting_before(node):
        made = graph.call_function(
            torch.ops.anabranch.batch_norm.default, (x, gamma, beta, chain.before, epsilon, chain.activation)
        )
        made.meta["path"] = path_of(node)
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    y.meta.update(chain.last.meta)
    chain.last.replace_all_uses_with(y)
    for gone in reversed(chain.nodes):
        graph.erase_node(gone)
    return chain.note(made, "the normalization")


def _by_fixed_statistics(graph: Graph, node: Call) -> Note | None:
    """Let a normalization by fixed statistics go on with what follows."""
    x, mean, variance, gamma, beta = (argument(node, place, name) for place, name in enumerate(_NORMALIZED))
    chain = None if argument(node, 5, "training", False) else _chain(node, (2, 4))
    if chain is None or chain.after is not None:
        return None
    note = chain.note(node, "the normalization")
    given = (x, mean, variance, gamma, beta, chain.before, argument(node, 7, "eps", 1e-5), chain.activation)
    with graph.inserting_before(chain.last):
        made = graph.call_function(torch.ops.anabranch.fixed_batch_norm.default, given)
    _replace(graph, chain, made)
    graph.erase_node(node)
    return note


def _pooled(graph: Graph, node: Call) -> Note | None:
    """Let windows that do not overlap be pooled by a kernel that saves a byte for each."""
    x, kernel, strides, padding = (argument(node, place, name) for place, name in enumerate(_POOLED))
    source = x
    while is_call(source, ("permute",)):
        source = source.args[0]
    if noted(node)[1] not in _KINDS or source.op == "placeholder":  # whose place in memory may change from step to step
        return None
    if any(s < k for s, k in zip(strides, kernel, strict=True)) or any(padding) or math.prod(kernel) > WINDOW:
        return Note(path_of(node), False, f"its windows overlap, are padded, or of more than {WINDOW} pixels")
    if argument(node, 4, "dilation", 1) not in (1, (1, 1)) or argument(node, 5, "ceil_mode", False):
        return None
    with graph.inserting_before(node):
        both = graph.call_function(torch.ops.anabranch.max_pool.default, (x, kernel, strides))
        both.meta["path"] = path_of(node)
        made = like(graph.call_function(operator.getitem, (both, 0)), node)
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    return Note(path_of(node), True, "one kernel, which saves a byte for each window")


def _uncast(value: object) -> Any:
    """Return the float32 weight that was cast: the kernel takes it as it is, and its gradient is not rounded."""
    source = value.args[0] if isinstance(value, Node) and is_call(value, ("to",)) else None
    return source if isinstance(source, Node) and source.op == "get_attr" else value


def _set_argument(node: Call, place: int, name: str, value: object) -> None:
    if len(node.args) > place:
        node.args = (*node.args[:place], value, *node.args[place + 1 :])
    elif name in node.kwargs:
        node.kwargs = {**node.kwargs, name: value}


def _replace(graph: Graph, chain: Chain, made: Node) -> None:
    like(made, chain.last)
    chain.last.replace_all_uses_with(made)
    for gone in reversed(chain.nodes):
        graph.erase_node(gone)


KERNELS = Pass(
    "kernels",
    requires="CUDA graphs, Triton, and a bias, normalization or sum before an activation or sum, or disjoint windows",
    ensures="the same values to rounding; a bias is added, and its gradient summed up, in float32",
    unfit=unfit,
    run=run,
)
