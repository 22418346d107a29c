"""Activation checkpointing: ``compile(remat=…)`` as patterns of layers' paths, or as a budget of bytes."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from anabranch._asked import GREATEST, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch.graph import Graph
from anabranch.graph.flatten import flatten
from anabranch.graph.paths import walk
from anabranch.graph.records import spec_leaves
from anabranch.graph.replaying import subgraph

Remat = tuple[str, ...] | int

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def remat_of(graph: Graph | None, given: object) -> Remat:
    """Return patterns, each of which matches a layer of ``graph``, or a number of bytes; () for None."""
    if given is None:
        return ()
    if isinstance(given, (int, float)) and not isinstance(given, bool) and abs(given) < GREATEST:
        return _positive(int(given), given)
    size = re.fullmatch(r"\s*([\d.]+)\s*([kmg]i?|)b\s*", given, re.IGNORECASE) if isinstance(given, str) else None
    if size is not None:
        return _positive(int(float(size[1]) * _UNITS[size[2].lower()]), given)
    patterns = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, (list, tuple, set)) else None
    if patterns is None or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentTypeError(
            "remat must say which layers are recomputed.",
            expected="paths or patterns of paths of layers, or bytes as in '500MB'", got=shown(given),
        )  # fmt: skip
    if graph is not None:
        paths = [path for path, _ in walk(graph)]
        for pattern in patterns:
            if not any(fnmatchcase(path, pattern) for path in paths):
                raise unknown("layer to recompute", pattern, paths)
    return patterns


def scoped(graph: Graph | None) -> tuple[str, ...]:
    """Return the paths of the layers that the scopes they were made in have recomputed."""
    steps = flatten(graph).steps if graph is not None and _has_scopes(graph) else ()
    found = [(step.path, step.node, step.node.operation._remat_scope_) for step in steps]
    return tuple(
        dict.fromkeys(
            path
            for path, node, scope in found
            if scope is not None and scope.covers(node.operation, [spec.shape for spec in spec_leaves(node.output_specs)])
        )
    )


def _has_scopes(graph: Graph) -> bool:
    """Return whether any layer was made in a scope: quickly, as it is asked before each epoch and few are."""
    stack = [graph]
    while stack:
        for operation in stack.pop().operations:
            if operation._remat_scope_ is not None:
                return True
            if (inner := subgraph(operation)) is not None:
                stack.append(inner)
    return False


def _positive(count: int, given: object) -> int:
    if count <= 0:
        raise ArgumentError("remat must be a positive number of bytes.", got=shown(given))
    return count
