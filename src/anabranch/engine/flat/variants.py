"""Which calls of a noted graph write into given memory, and which only show memory that is there."""

from __future__ import annotations

import functools
import math
import operator
from typing import NamedTuple

import torch
from torch._ops import OpOverload
from torch.fx import Node

from anabranch.engine.flat.noting import Window, window_of


class OutVariant(NamedTuple):
    """The overload of an operation that writes into given tensors, and their names."""

    overload: OpOverload
    names: tuple[str, ...]


def results_of(node: Node) -> list[Node]:
    """Return the nodes of the tensors that a call gives: itself, or those that take it apart."""
    if window_of(node) is not None:
        return [node]
    return [user for user in node.users if user.target is operator.getitem]


def planned(node: Node, results: list[Node]) -> OutVariant | None:
    """Return the variant of a call that writes all its results, where each is memory of its own; None where there is none."""
    variant = out_variant(node.target)  # type: ignore[arg-type]  # an overload, in a noted graph
    if variant is None or len(variant.names) != len(results) or not all(each.meta["fresh"] for each in results):
        return None
    return variant if all(map(is_whole, results)) else None


def is_whole(node: Node) -> bool:
    """Return whether a result fills a memory without gaps."""
    window: Window = node.meta["window"]
    reach = 1 + sum((size - 1) * stride for size, stride in zip(window.size, window.stride, strict=True))
    return window.offset == 0 and reach == math.prod(window.size)


@functools.cache
def out_variant(overload: OpOverload) -> OutVariant | None:
    """Return the overload that writes its results into given tensors; None where torch has no kernel of its own for that."""
    if overload._schema.is_mutable:
        return None
    wanted = [(each.name, str(each.type)) for each in overload._schema.arguments]
    packet = overload.overloadpacket
    for name in packet.overloads():
        other: OpOverload = getattr(packet, name)
        written = [each for each in other._schema.arguments if each.alias_info is not None and each.alias_info.is_write]
        names = tuple(each.name for each in written)
        taken = [(each.name, str(each.type)) for each in other._schema.arguments if each.name not in names]
        if written and all(each.kwarg_only for each in written) and taken == wanted and _has_kernel(other):
            return OutVariant(other, names)
    return None


def _has_kernel(overload: OpOverload) -> bool:
    """Return whether a kernel writes the results, rather than a copy of what the plain call gives."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CPU")  # type: ignore[no-untyped-call]  # torch leaves it so


def is_view(node: Node) -> bool:
    """Return whether a call does nothing but give windows on memory that was there."""
    if node.target is operator.getitem:
        return True
    if not isinstance(node.target, OpOverload) or node.target._schema.is_mutable:
        return False
    return window_of(node) is not None and not node.meta["fresh"]
