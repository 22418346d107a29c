"""Names as a function of the graph: explicit ones stay, the others are numbered in the order of the walk."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable

from anabranch._errors import GraphError
from anabranch.graph.records import Operation


@functools.lru_cache(4096)
def snake_case(name: str) -> str:
    """Return Keras's lower-case form of a class name.

    >>> snake_case("GlobalAveragePooling2D"), snake_case("Conv2D"), snake_case("ReLU")
    ('global_average_pooling2d', 'conv2d', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def name_operations(operations: Iterable[Operation]) -> dict[Operation, str]:
    """Give each operation its name in this graph: ``conv2d``, ``conv2d_1``, …, or the one its author gave."""
    operations = list(operations)
    taken: dict[str, Operation] = {}
    for operation in operations:
        if operation._explicit_name_ is not None:
            other = taken.setdefault(operation._explicit_name_, operation)
            if other is not operation:
                raise _duplicate(operation._explicit_name_, other, operation)
    names: dict[Operation, str] = {}
    counts: dict[str, int] = {}
    for operation in operations:
        name = operation._explicit_name_
        while name is None:
            base = operation._base_name_
            count = counts.get(base, 0)
            counts[base] = count + 1
            candidate = f"{base}_{count}" if count else base
            name = candidate if candidate not in taken else None
        names[operation] = name
    return names


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: itself, or with the first number that makes it so.

    >>> free_name("acc", {"acc", "acc_1"})
    'acc_2'
    """
    number, found = 0, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _duplicate(name: str, first: Operation, second: Operation) -> GraphError:
    def place(operation: Operation) -> str:
        node = operation._calls_[0]() if operation._calls_ else None
        kind, site = operation._kind_name_(), operation._made_at_
        return f"{kind} called at {node.site}" if node and node.inputs else f"{kind} made at {site}" if site else kind

    return GraphError(
        f"Two layers of one model are named {name!r}.",
        got=f"{place(first)}\n{place(second)}",
        repair="give one of them another name=, or none: unnamed layers are numbered"
        + ("\nor, if one layer is meant: make it once and call it twice" if type(first) is type(second) else ""),
    )
