"""What a pass is: a function that rewrites an fx graph in place and says what it did where."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node

Call = Any  # an fx node whose target and arguments are looked at, which torch types as a union of all that they may be


class Settings(NamedTuple):
    """What a variant of the code is for. The shapes of batches are no setting: they are noted on the graph's inputs."""

    training: bool
    no_grad: bool = False  # no gradient will be asked for
    single: bool = False  # batches of one sample
    heavy: bool = False  # a sample takes so much arithmetic that calls cost little beside it
    device: str = "cpu"
    compiled: bool = False  # torch.compile compiles the result
    remat: tuple[str, ...] | int = ()  # which layers are recomputed for gradients, or how many bytes may be saved instead

    @property
    def refusal(self) -> str:
        """Why weights are not taken as constants, or "" where they are, until somebody changes them."""
        if not self.no_grad:
            return "weights may change, or gradients flow to them"
        if self.device != "cpu":
            return "to look whether weights have changed would make the host wait for the device"
        if self.compiled:
            return "torch.compile fuses by itself"
        light = self.single and not self.heavy
        return "batches of one sample: to look whether weights have changed costs as much" if light else ""


class Note(NamedTuple):
    """What a pass did at one place, or why it could not."""

    path: str
    done: bool
    text: str


class Pass(NamedTuple):
    """One rewriting.

    ``requires`` and ``ensures`` are sentences for ``model.explain_execution()``; ``unfit`` says why the pass does not run in a
    settings, or "" where it does; ``run`` rewrites a graph in place, whose weights are in ``root``.
    """

    name: str
    requires: str
    ensures: str
    unfit: Callable[[Settings], str]
    run: Callable[[Graph, torch.nn.Module, Settings], list[Note]]


def always(settings: Settings) -> str:
    """Return "": the pass runs with all settings."""
    return ""


def constants_only(settings: Settings) -> str:
    """Return why a pass that takes weights as constants does not run, or ""."""
    return settings.refusal


def path_of(node: Node) -> str:
    """Return the path of the layer that a node came from."""
    return str(node.meta.get("path") or node.name)


def shape_of(value: object) -> tuple[int | None, ...] | None:
    """Return the shape noted on a node, where one was."""
    return value.meta.get("shape") if isinstance(value, Node) else None


def is_call(node: object, targets: Container[object]) -> bool:
    """Return whether a node calls one of ``targets``: functions, or methods by name."""
    return isinstance(node, Node) and node.op in ("call_function", "call_method") and node.target in targets


def argument(node: Call, place: int, name: str, default: object = None) -> Any:
    """Return an argument of a call, given by position or by name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def attribute(module: torch.nn.Module, target: str) -> Any:
    """Return the attribute at a dotted path in a module."""
    value: Any = module
    for name in target.split("."):
        value = getattr(value, name)
    return value


def way_of(value: object) -> list[Call]:
    """Return a value and what it is made of, first arguments first, back to the read of a weight; empty where it is of none."""
    way = []
    while isinstance(value, Node):
        way.append(value)
        if value.op == "get_attr":
            return way
        value = value.args[0] if value.args else None
    return []


def kind_of(root: torch.nn.Module, value: object) -> torch.dtype | None:
    """Return the type of what is made of a weight: that of the last cast, else the weight's own."""
    way = way_of(value)
    casts = (node.args[1] for node in way if node.target == "to" and len(node.args) == 2)
    own = attribute(root, way[-1].target).dtype if way else None
    return next((kind for kind in casts if isinstance(kind, torch.dtype)), own)


def only_user(node: object) -> Call:
    """Return the one node that takes ``node``, once; None where there are several or none."""
    if not isinstance(node, Node) or len(node.users) != 1:
        return None
    user = next(iter(node.users))
    return user if sum(argument is node for argument in (*user.args, *user.kwargs.values())) == 1 else None


def erase_unread(graph: Graph, needless: Callable[[Node], bool]) -> None:
    """Erase calls that are ``needless`` where nobody takes their results, and those that they alone needed."""
    for node in reversed(list(graph.nodes)):
        if not node.users and needless(node):
            graph.erase_node(node)


def merged(node: Node, same: Node, text: str) -> Note:
    """Let those who take a node's result take that of ``same``, an equal one, and note why."""
    node.replace_all_uses_with(same)
    node.graph.erase_node(node)
    return Note(path_of(node), True, text)


def like(made: Node, source: Node) -> Node:
    """Give a new node what was noted on the one it replaces."""
    made.meta.update(source.meta)
    return made
