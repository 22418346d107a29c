"""A planned tree of modules as the text of a Python file that needs torch alone."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.fx import Graph

from anabranch._asked import name_of
from anabranch.exchange.expressions import attribute
from anabranch.exchange.plan import Given, Plan, Twin
from anabranch.exchange.statements import Statements, wrapped
from anabranch.exchange.third_party import constructor
from anabranch.exchange.twins import helper_class

_RESERVED = frozenset(
    (*dir(builtins), *dir(nn), "F", "nn", "torch")
)  # torch's names too, which a reader would take for torch's


class Source(NamedTuple):
    """A file: its text, its main class, functions of others that its code names, and modules that it cannot make."""

    text: str
    main: str
    functions: dict[str, Any]
    unwritten: list[str]


class Writer:
    """Collects the classes of a file, each once."""

    def __init__(self) -> None:
        self.classes: dict[str, str] = {}  # the text of a class with its name left out -> the name
        self.texts: list[str] = []
        self.functions: dict[str, Any] = {}
        self.unwritten: list[str] = []
        self._plans: dict[Plan, str] = {}

    def name_of(self, function: Callable[..., object]) -> str:
        """Return the name under which the code calls a function that is not torch's."""
        wished = name_of(function, "function")
        name = wished if wished.isidentifier() else "function"
        while self.functions.get(name, function) is not function:
            name += "_"
        self.functions[name] = function
        return name

    def write(self, plan: Plan, path: str) -> str:
        """Write the class of a plan and of all that it holds, unless they are written; return its name."""
        if plan in self._plans:
            return self._plans[plan]
        inner = list(self._children(plan, path))
        base = "nn.ModuleDict" if any(map(str.isdecimal, plan.children)) else "nn.Module"
        lines = [f"class NAME({base}):"]
        if plan.doc:
            lines += [*wrapped(f'"""{plan.doc}"""', 4), ""]
        held = [line for row in (*_values(plan), *inner) for line in wrapped(row, 8)]
        if held:
            lines += ["    def __init__(self):", "        super().__init__()", *held]
        if plan.graphs:
            lines += [*([""] if held else []), *self._forward(plan)]
        return self._plans.setdefault(plan, self._named(plan.kind, "\n".join(lines) + "\n"))

    def _named(self, kind: str, text: str) -> str:
        """Return the name of the class with this text, which is added unless it is there."""
        if text not in self.classes:
            taken, name, number = {*self.classes.values(), *_RESERVED}, kind, 1
            while name in taken:
                number += 1
                name = f"{kind}{number}"
            self.classes[text] = name
            self.texts.append(text.replace("NAME", name, 1))
        return self.classes[text]

    def _children(self, plan: Plan, path: str) -> Iterator[str]:
        for name, child in plan.children.items():
            place = f"{path}.{name}" if path else name
            if isinstance(child, Twin):
                if child.helper and child.helper not in self.classes.values():
                    text = helper_class(child.helper)
                    self.classes[text] = child.helper
                    self.texts.append(text)
                code = child.code
            elif isinstance(child, Given):
                code = constructor(child.module) or ""
                if not code:
                    self.unwritten.append(f"{place}: {type(child.module).__name__}")
                    code = f"nn.Module()  # {type(child.module).__name__}, put here by to_torch"
            else:
                code = f"{self.write(child, place)}()"
            yield f"{attribute(name)} = {code}"

    def _forward(self, plan: Plan) -> Iterator[str]:
        first = next(iter(plan.graphs.values()))
        names = [node.name for node in first.find_nodes(op="placeholder")]
        last = max((place for place, name in enumerate(names) if name not in plan.optional), default=-1)
        arguments = [
            name if name not in plan.optional else f"{name}: torch.Tensor | None" + (" = None" if place > last else "")
            for place, name in enumerate(names)
        ]
        yield from wrapped(f"def forward({', '.join(['self', *arguments])}):", 4)
        for absent, graph in sorted(plan.without.items(), key=lambda item: -len(item[0])):
            yield f"        if {' and '.join(f'{name} is None' for name in absent)}:"
            yield from self._lines(graph, 12)
        if len(plan.graphs) > 1:
            yield "        if self.training:"
            yield from self._lines(plan.graphs[True], 12)
        yield from self._lines(plan.graphs[False], 8)

    def _lines(self, graph: Graph, indent: int) -> list[str]:
        return Statements(graph, indent, self.name_of).written()


def _values(plan: Plan) -> Iterator[str]:
    for name, value in plan.values.items():
        if isinstance(value, torch.Generator):
            yield f"{attribute(name)} = torch.Generator().manual_seed({value.initial_seed()})"
            continue
        start = plan.starts.get(name) or _zeros(value)
        if isinstance(value, torch.nn.Parameter):
            yield f"{attribute(name)} = nn.Parameter({start})"
        else:
            yield f'self.register_buffer("{name}", {start})'


def _zeros(value: torch.Tensor) -> str:
    kind = "" if value.dtype == torch.float32 else f", dtype={value.dtype}"
    return f"torch.zeros({', '.join(map(str, value.shape)) if value.dim() else '()'}{kind})"


def write(plan: Plan, title: str) -> Source:
    """Return the file of a planned tree."""
    writer = Writer()
    main = writer.write(plan, "")
    ties = list(_ties(plan))
    body = "\n\n".join(writer.texts)
    if ties:
        lines = [line for row in ties for line in wrapped(row, 8)]
        head, mark, tail = body.rpartition(f"class {main}(")
        place = tail.index("\n\n    def forward")
        body = head + mark + tail[:place] + "\n" + "\n".join(lines) + tail[place:]
    imports = ["import torch"] * ("torch." in body) + ["import torch.nn.functional as F"] * ("F." in body)
    text = f'"""{title}"""\n\n' + "\n".join([*imports, "from torch import nn"]) + "\n\n\n" + body
    return Source(text, main, writer.functions, writer.unwritten)


def _ties(plan: Plan) -> Iterator[str]:
    """Yield the lines that let one parameter be at several places."""
    first: dict[int, str] = {}
    for path, value in plan.bindings():
        if isinstance(value, torch.nn.Parameter) and first.setdefault(id(value), path) != path:
            yield f"{attribute(path)} = {attribute(first[id(value)])}"
