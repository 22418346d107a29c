"""What a module tree is planned as, before any of it is source or a module: classes with their code, children and values."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch.fx import Graph

Value: TypeAlias = torch.Tensor | torch.Generator


@dataclass(eq=False)
class Twin:
    """A child that one expression makes: ``nn.Conv2d(3, 8, 3)``.

    ``helper`` names the class that a file must hold for it; ``sources`` say for its values what the model calls them, where it
    calls them otherwise.
    """

    code: str
    values: dict[str, Value] = field(default_factory=dict)
    helper: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    def fits(self, other: object) -> bool:
        """Return whether two calls ask for the same module."""
        return isinstance(other, Twin) and other.code == self.code


@dataclass(eq=False)
class Given:
    """A child that exists: a module of another author, or a layer that cannot be traced and runs as itself."""

    module: torch.nn.Module

    def fits(self, other: object) -> bool:
        """Return whether two calls ask for the same module."""
        return isinstance(other, Given) and (other.module is self.module or type(other.module) is type(self.module))


@dataclass(eq=False)
class Plan:
    """A class to be written: its code by mode (one where both agree, none in a mere container), its children and values.

    ``starts``: the expression that a value has in the written file until a ``state_dict`` is loaded. ``optional``: arguments
    that may be None; ``without``: the code by those that are.
    """

    kind: str
    doc: str = ""
    graphs: dict[bool, Graph] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    without: dict[tuple[str, ...], Graph] = field(default_factory=dict)

    def fits(self, other: object) -> bool:
        """Return whether two calls ask for the same module."""
        return isinstance(other, Plan) and other.kind == self.kind and same_code(self.graphs, other.graphs)

    def owner(self, target: str) -> tuple[Plan, str]:
        """Return the plan that holds what is at a dotted path, with containers made on the way, and the last name."""
        plan = self
        *parents, name = target.split(".")
        for parent in parents:
            child = plan.children.setdefault(parent, Plan("Item" if parent.isdecimal() else camel_case(parent)))
            if not isinstance(child, Plan):
                raise KeyError(target)
            plan = child
        return plan, name

    def find(self, target: str) -> Child | None:
        """Return the child at a dotted path, None where there is none."""
        plan: Child | None = self
        for name in target.split(".") if target else ():
            plan = plan.children.get(name) if isinstance(plan, Plan) else None
        return plan

    def add(self, target: str, child: Child) -> bool:
        """Put a child at a dotted path and return whether it is there: False where another one is."""
        found = self.find(target)
        if found is not None:
            return child.fits(found)
        try:
            owner, name = self.owner(target)
        except KeyError:
            return False
        owner.children[name] = child
        return True

    def copied(self) -> Plan:
        """Return a plan of the same children, to which others may be added; plans among them are copied too."""
        children = {name: child.copied() if isinstance(child, Plan) else child for name, child in self.children.items()}
        return replace(self, children=children)

    def bindings(self, prefix: str = "") -> Iterator[tuple[str, Value | torch.nn.Module]]:
        """Yield the tensors, generators and modules of the tree by dotted path, in its order."""
        for name, value in self.values.items():
            yield prefix + name, value
        for name, child in self.children.items():
            if isinstance(child, Given):
                yield prefix + name, child.module
            elif isinstance(child, Twin):
                yield from ((f"{prefix}{name}.{key}", value) for key, value in child.values.items())
            else:
                yield from child.bindings(f"{prefix}{name}.")

    def twins(self, prefix: str = "") -> Iterator[tuple[str, Twin]]:
        """Yield the modules of torch's own in the tree by dotted path."""
        for name, child in self.children.items():
            if isinstance(child, Twin):
                yield prefix + name, child
            elif isinstance(child, Plan):
                yield from child.twins(f"{prefix}{name}.")


Child: TypeAlias = Twin | Given | Plan


def camel_case(name: str) -> str:
    """Return a name as one of a class.

    >>> camel_case("batch_norm"), camel_case("ReLU"), camel_case("2x")
    ('BatchNorm', 'ReLU', 'X2x')
    """
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name).split()
    found = "".join(word[0].upper() + word[1:] for word in words) or "Module"
    return found if found[0].isalpha() and not keyword.iskeyword(found) else f"X{found}"


def same_code(one: dict[bool, Graph], other: dict[bool, Graph]) -> bool:
    """Return whether the code agrees in every mode."""
    return one.keys() == other.keys() and all(signature(one[mode]) == signature(other[mode]) for mode in one)


def signature(graph: Graph) -> list[Any]:
    """Return what a graph computes, as values that are equal where two graphs compute the same."""
    numbers: dict[Any, int] = {}
    found = []
    for node in graph.nodes:
        numbers[node] = len(numbers)
        target = None if node.op == "placeholder" else node.target
        found.append((node.op, target, torch.fx.map_arg(node.args, lambda n: _Place(numbers[n])),
                      torch.fx.map_arg(node.kwargs, lambda n: _Place(numbers[n]))))  # fmt: skip
    return [repr(each) for each in found]


class _Place(int):
    """A node among arguments, by its position, which no integer equals."""

    def __repr__(self) -> str:
        return f"%{int(self)}"
