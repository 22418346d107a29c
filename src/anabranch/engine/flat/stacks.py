"""Weight gradients of equal small layers become one product of stacked matrices, and their bias gradients one sum.

A gradient is read only after the step, so all may come at its end. What they are computed from, the layers' inputs and the
gradients of their outputs, is written side by side. Torch's stacked product need not round as its plain one does, so it is
tried, and used only where it gives the same bits.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node

from anabranch import runtime
from anabranch.engine.flat.noting import Window, window_of
from anabranch.engine.flat.variants import is_view, planned, results_of
from anabranch.runtime.host_threads import PRODUCTS

_FEW = 8  # products below which stacking them saves little
_ALIGNED = 64  # bytes: as torch's own memory
_MM, _SUM = torch.ops.aten.mm.default, torch.ops.aten.sum.dim_IntList


class Stacks(NamedTuple):
    """The parts of stacks, and the stacks that are returned, by the number of the memory whose place they take."""

    parts: dict[int, torch.Tensor]
    returned: dict[int, torch.Tensor]


def stack(graph: Graph, given: dict[Node, torch.Tensor | torch.Generator], returned: dict[int, torch.Tensor]) -> Stacks:
    """Rewrite a noted graph in place.

    ``given`` are the values of its placeholders, to which stacks are added; ``returned`` what it returns, by
    the number of the memory.
    """
    calls = [node for node in graph.nodes if node.op == "call_function"]
    on: dict[int, list[Node]] = defaultdict(list)
    for node in calls:
        if (window := window_of(node)) is not None:
            on[window.memory].append(node)
    written = {
        w.memory
        for node in calls
        if (w := window_of(node)) and node.target is not operator.getitem and planned(node, results_of(node))
    }
    groups: dict[object, list[Node]] = defaultdict(list)
    taken: set[int] = set()
    for node in calls:
        factors = _factors(node)
        if factors and _is_returned(node, on):
            memories = {window.memory for window in factors}
            steady = all(_is_steady(on[memory]) for memory in memories)
            if len(memories) == len(factors) and memories <= written and not memories & taken and steady:
                taken |= memories
                groups[tuple(window._replace(memory=0) for window in factors)].append(node)
    stacks, numbers = Stacks({}, {}), itertools.count(-1, -1)  # as no memory that was noted has
    for nodes in groups.values():
        if len(nodes) >= _FEW:
            _Stacking(graph, given, on, stacks, nodes, numbers, returned).run()
    return stacks


class _Stacking:
    """Puts one product, and one sum, in the place of many.

    Args:
        graph: the graph.
        given: the values of its placeholders.
        on: the nodes on each memory.
        stacks: what is stacked so far.
        nodes: the products, in order.
        numbers: of new memories.
        returned: what is returned, by the number of its memory.
    """

    def __init__(
        self,
        graph: Graph,
        given: dict[Node, torch.Tensor | torch.Generator],
        on: dict[int, list[Node]],
        stacks: Stacks,
        nodes: list[Node],
        numbers: Iterator[int],
        returned: dict[int, torch.Tensor],
    ) -> None:
        self._graph, self._given, self._on, self._stacks, self._returned = graph, given, on, stacks, returned
        self._last = nodes[-1]
        self._nodes = sorted(nodes, key=lambda node: self._place(node).data_ptr())  # as results lie side by side
        self._numbers = numbers

    def run(self) -> None:
        """Rewrite the graph, where the numbers stay equal."""
        columns = list(zip(*(_factors(node) or () for node in self._nodes), strict=True))
        memories = [self._stacked(column) for column in columns]
        factors = [_shown(memory, column[0]) for memory, column in zip(memories, columns, strict=True)]
        sums = self._sums(columns[0])
        rows = _shown(memories[0], _window(sums[0].all_input_nodes[0])) if sums else None
        if not _agree(factors, rows):
            return
        for memory, column in zip(memories, columns, strict=True):
            for window, part in zip(column, memory, strict=True):
                self._stacks.parts[window.memory] = part
        numbers = [next(self._numbers) for _ in memories]
        given = [self._give(number, value) for number, value in zip(numbers, factors, strict=True)]
        with self._graph.inserting_after(self._last):
            product = self._graph.call_function(torch.ops.aten.bmm.default, tuple(given))
        self._replace(self._nodes, product)
        if rows is not None:
            with self._graph.inserting_after(product):
                total = self._graph.call_function(_SUM, (self._give(numbers[0], rows), [1]))
            self._replace(sums, total)

    def _sums(self, column: Sequence[Window]) -> list[Node]:
        """Return a sum over rows for each first factor; nothing where not each has one like the others."""
        found = []
        for window in column:
            users = {user: None for node in self._on[window.memory] for user in node.users if user.target is _SUM}
            found += [node for node in users if node.args[1] == [0] and not node.kwargs and _is_returned(node, self._on)]
        kinds = {_window(node.all_input_nodes[0])._replace(memory=0) for node in found}
        each = [_window(node.all_input_nodes[0]).memory for node in found] == [window.memory for window in column]
        return found if each and len(kinds) == 1 and _is_aligned(_window(found[0])) else []

    def _replace(self, nodes: list[Node], whole: Node) -> None:
        """Let the results of calls be parts of the result of one."""
        first = _window(nodes[0])
        size, count = tuple(first.size), math.prod(first.size)
        stride = (count, *first.stride)
        number = next(self._numbers)
        whole.meta |= {"window": Window(number, first.dtype, (len(nodes), *size), stride, 0), "fresh": True}
        if whole.target is _SUM:  # which keeps no axis
            whole.meta["window"] = Window(number, first.dtype, (len(nodes), count), (count, 1), 0)
        places = [self._place(node) for node in nodes]
        together = runtime.as_one(places)
        self._stacks.returned[number] = torch.empty(len(nodes) * count, dtype=first.dtype) if together is None else together
        for place, node in enumerate(nodes):
            window = _window(node)
            for each in self._on[window.memory]:
                old = _window(each)
                each.meta["window"] = old._replace(memory=number, offset=old.offset + place * count)
            node.target, node.args = torch.ops.aten.as_strided.default, (whole, size, first.stride, place * count)
            node.meta["fresh"] = False

    def _place(self, node: Node) -> torch.Tensor:
        """Return where a result is returned."""
        return self._returned[_window(node).memory]

    def _stacked(self, column: Sequence[Window]) -> torch.Tensor:
        with torch.inference_mode():  # as all planned memory
            return torch.empty(len(column), math.prod(column[0].size), dtype=column[0].dtype)

    def _give(self, number: int, value: torch.Tensor) -> Node:
        with self._graph.inserting_before(next(iter(self._graph.nodes))):
            node = self._graph.placeholder(f"given_{len(self._given)}")
        self._given[node] = value
        node.meta["window"] = Window(number, value.dtype, tuple(value.shape), value.stride(), 0)
        return node


def _window(node: Node) -> Window:
    window: Window = node.meta["window"]
    return window


def _factors(node: Node) -> tuple[Window, ...]:
    """Return the windows of what a small product multiplies; nothing of other calls."""
    if node.target is not _MM:
        return ()
    windows = [w for each in node.args if (w := window_of(each))]
    if len(windows) != 2 or windows[0].dtype != torch.float32:
        return ()
    small = math.prod(windows[0].size) * windows[1].size[1] < PRODUCTS
    whole = all(window.offset == 0 and _is_aligned(window) for window in (*windows, _window(node)))
    return tuple(windows) if small and whole else ()


def _is_aligned(window: Window) -> bool:
    return math.prod(window.size) * window.dtype.itemsize % _ALIGNED == 0


def _is_returned(node: Node, on: dict[int, list[Node]]) -> bool:
    """Return whether a result is contiguous memory of its own that is returned and nothing else."""
    window = _window(node)
    if not node.meta["fresh"] or len(window.size) != 2 or window.stride[-1] != 1 or window.stride[0] != window.size[1]:
        return False
    nodes = on[window.memory]
    users = [user for each in nodes for user in each.users]
    shown = all(user.op == "output" or (user in nodes and is_view(user)) for user in users)
    return shown and any(user.op == "output" for user in users)


def _is_steady(nodes: list[Node]) -> bool:
    """Return whether no call changes memory in place, as autograd does where a gradient is the sum of several."""
    users = [user.target for node in nodes for user in node.users]
    return not any(isinstance(target, OpOverload) and target._schema.is_mutable for target in users)


def _shown(memory: torch.Tensor, window: Window) -> torch.Tensor:
    """Return a stack as its parts are shown."""
    with torch.inference_mode():
        return memory.as_strided((len(memory), *window.size), (memory.shape[1], *window.stride))


def _agree(factors: Sequence[torch.Tensor], rows: torch.Tensor | None) -> bool:
    """Return whether torch gives the same bits for stacks as for their parts."""
    drawn = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        one, other = (factor.copy_(torch.randn(factor.shape, generator=drawn)) for factor in factors)
        same = torch.equal(torch.bmm(one, other), torch.stack(list(map(torch.mm, one, other))))
        return same and (rows is None or torch.equal(rows.sum(1), torch.stack([each.sum(0) for each in rows])))
