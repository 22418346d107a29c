"""What passes ask of the nodes of an fx graph, and how they exchange them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container
from typing import Any

import torch
from torch.fx import Graph, Node

from anabranch.engine.passes.base import Call, Note

ADDITIONS = (operator.add, torch.add, "add")


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


def noted(value: object) -> tuple[Any, Any]:
    """Return the shape and type noted on a value."""
    return shape_of(value), value.meta.get("dtype") if isinstance(value, Node) else None


def addition_of(node: object) -> Call | None:
    """Return the addition of another value of the same shape that alone takes the node's result, where there is one."""
    user = only_user(node)
    if not is_call(user, ADDITIONS) or user is None or len(user.args) != 2 or user.kwargs:
        return None
    others = [value for value in user.args if value is not node]
    same = all(noted(value) == noted(user) for value in others) and None not in noted(user)
    return user if same and len(user.all_input_nodes) == 2 else None


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
