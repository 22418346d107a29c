"""The lines of a ``forward``: one for each layer, its variables named as people do and let go when nobody needs them."""

from __future__ import annotations

import builtins
import keyword
import operator
from collections.abc import Callable, Iterator
from typing import Any

from torch.fx import Graph, Node, map_arg

from anabranch.engine.passes.layout import PERMUTES
from anabranch.engine.passes.nodes import is_call
from anabranch.engine.passes.operations import is_pure, mutates
from anabranch.exchange.calls import rank
from anabranch.exchange.expressions import ATOM, expression, operand

WIDTH = 88  # as formatters have it
NAMES = ("x", "y", "z", "u", "v", "w")
_RESERVED = frozenset((*keyword.kwlist, *dir(builtins), "self", "torch", "nn", "F"))


class Statements:
    """Writes the code of one graph."""

    def __init__(self, graph: Graph, indent: int, name_of: Callable[[Any], str]) -> None:
        self.indent = indent
        self.name_of = name_of
        self.lines: list[str] = []
        self._nodes = list(graph.nodes)
        self._position = {node: index for index, node in enumerate(self._nodes)}
        self._last = {node: max((self._position[user] for user in node.users), default=-1) for node in self._nodes}
        self._code: dict[Node, tuple[str, int]] = {}
        self._needs: dict[Node, set[Node]] = {}  # the variables in a node's code
        self._holders: dict[str, Node] = {}  # the value in each variable
        self._mutating = any(mutates(node) for node in self._nodes)

    def written(self) -> list[str]:
        """Return the lines."""
        for node in self._nodes:
            if node.op == "placeholder":
                self._hold(node, node.name)
            elif node.op == "output":
                self._add(f"return {operand(node.args[0], self._code)}")
            else:
                self._write(node)
        return self.lines

    def _write(self, node: Node) -> None:
        if node in self._code:  # a result, which has its name from the line of the call
            return
        self._code[node] = code, _ = expression(node, self._code, self.name_of)
        self._needs[node] = set().union(*(self._needs[source] for source in node.all_input_nodes))
        if node.op == "get_attr":
            return
        if self._joins(node, code):
            (user,) = node.users
            for variable in self._needs[node]:
                self._last[variable] = max(self._last[variable], self._position[user])
        elif "unpacked" in node.meta and _is_taken_apart(node):
            self._add(f"{self._unpacked(node, node.meta['unpacked'], self._position[node])} = {code}")
        elif node.users:
            name = self._name(node)
            self._hold(node, name)
            self._add(f"{name} = {code}")
        else:
            self._add(code)

    def _joins(self, node: Node, code: str) -> bool:
        """Return whether a node's code becomes part of the line of the one node that takes it."""
        if len(node.users) != 1 or ("unpacked" in node.meta and _is_taken_apart(node)):
            return False
        (user,) = node.users
        if _times(user, node) != 1:
            return False
        between = self._nodes[self._position[node] + 1 : self._position[user]]
        room = WIDTH - self.indent - len("x = ") - len(code) - 24
        if user.op == "output":
            return not between
        if node.target is getattr:
            return True
        if is_call(node, PERMUTES) or is_call(user, PERMUTES):
            return room > 0 and (not between or (not self._mutating and is_pure(node)))
        call = node.meta.get("call")
        return call is not None and room > 0 and all(_is_part(other, call) for other in (*between, user))

    def _unpacked(self, node: Node, results: tuple[Any, ...], here: int) -> str:
        """Return the names for the results of a call at the position ``here``: ``x, (y, _)``."""
        names = []
        for index, inner in enumerate(results):
            takers = [user for user in node.users if user.args[1] == index]
            if not takers:
                names.append("_")
            elif inner is not None and len(takers) == 1 and _is_taken_apart(takers[0]):
                self._code[takers[0]] = "", ATOM  # no line of its own
                names.append(f"({self._unpacked(takers[0], inner, here)})")
            else:
                self._last[takers[0]] = max(self._last[taker] for taker in takers)
                names.append(self._name(takers[0], here))
                self._hold(takers[0], names[-1])
                for taker in takers[1:]:
                    self._code[taker], self._needs[taker] = self._code[takers[0]], self._needs[takers[0]]
        return ", ".join(names)

    def _name(self, node: Node, here: int | None = None) -> str:
        """Return a short name whose value is not needed after this line; values that are no tensors have their own."""
        if not _is_tensor(node):
            return self._own_name(node)
        here = self._position[node] if here is None else here
        for name in NAMES:
            holder = self._holders.get(name)
            if holder is None or (self._last[holder] <= here and _is_tensor(holder)):
                return name
        return self._own_name(node)

    def _own_name(self, node: Node) -> str:
        name = node.name
        while name in _RESERVED or name in self._holders or name in NAMES:
            name += "_"
        return name

    def _hold(self, node: Node, name: str) -> None:
        self._holders[name] = node
        self._code[node] = name, ATOM
        self._needs[node] = {node}

    def _add(self, line: str) -> None:
        self.lines += wrapped(line, self.indent)


def _is_taken_apart(node: Node) -> bool:
    """Return whether nothing but single results of a call are looked at."""
    return bool(node.users) and all(user.target is operator.getitem and isinstance(user.args[1], int) for user in node.users)


def _is_part(node: Node, call: object) -> bool:
    """Return whether a node may run a little earlier or later among others of its layer's call."""
    return node.op == "get_attr" or (node.meta.get("call") == call and (node.op == "call_module" or is_pure(node)))


def _times(user: Node, node: Node) -> int:
    """Return how often a node is among what another takes."""
    count = 0

    def see(argument: Node) -> Node:
        nonlocal count
        count += argument is node
        return argument

    map_arg((user.args, user.kwargs), see)
    return count


def _is_tensor(node: Node) -> bool:
    """Return whether a value is known to be one tensor, so that its variable may hold others before and after."""
    if node.op == "call_module":
        return not any(user.target is operator.getitem and "shape" not in node.meta for user in node.users)
    return node.op == "placeholder" or node.meta.get("dtype") is not None or rank(node) is not None


def wrapped(line: str, indent: int) -> list[str]:
    """Return a line, broken as formatters do where it is too long: inside its outermost brackets."""
    space = " " * indent
    if len(space) + len(line) <= WIDTH:
        return [space + line]
    begin, parts, end = _outermost(line)
    if not parts:
        return [space + line]
    joined = ", ".join(parts)
    if len(space) + 4 + len(joined) <= WIDTH and "(" in begin[-1:]:
        return [space + begin, f"{space}    {joined}", space + end]
    inner = [row for part in parts for row in wrapped(f"{part},", indent + 4)]
    return [space + begin, *inner, space + end]


def _outermost(line: str) -> tuple[str, list[str], str]:
    """Return a line up to its longest bracket of the first level, what is inside, and the end."""
    start, spans = 0, []
    for place, char, depth in _signs(line):
        if char in "([{" and depth == 1:
            start = place
        elif char in ")]}" and depth == 0:
            spans.append((start, place))
    if not spans:
        return line, [], ""
    start, stop = max(spans, key=lambda span: span[1] - span[0])
    return line[: start + 1], _parts(line[start + 1 : stop]), line[stop:]


def _parts(text: str) -> list[str]:
    """Return what commas part that are in no brackets and no quotes."""
    found, begin = [], 0
    for place, char, depth in _signs(text):
        if char == "," and depth == 0:
            found.append(text[begin:place].strip())
            begin = place + 1
    last = text[begin:].strip()
    return [*found, last] if last else found


def _signs(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield each character outside quotes: its place, itself, and how many brackets are open behind it."""
    depth, quote = 0, ""
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
            yield place, char, depth
