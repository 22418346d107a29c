"""Results go into planned memory: by ``out=``, where torch has a kernel for that; all windows on such memory are constants.

Memory is used again where nothing later reads what is in it; an operation element by element writes over an operand that ends
with it. What is returned, gradients above all, lends its memory until it is written. What is constant costs no call: views, of
weights too, are made once.
"""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node

from anabranch.engine.flat.activations import join
from anabranch.engine.flat.noting import Window, window_of
from anabranch.engine.flat.stacks import Stacks, stack
from anabranch.engine.flat.variants import OutVariant, is_view, planned, results_of
from anabranch.runtime.torch_facts import is_pointwise

Values = dict[Node, "torch.Tensor | torch.Generator"]
_ALIGNED = 64  # bytes: as torch's own memory, since some kernels' rounding depends on it
_Kind = tuple[torch.dtype, int]  # type and number of elements of a memory


class _Place(NamedTuple):
    """Planned memory, and the position among the calls from which on it is another's."""

    buffer: torch.Tensor
    until: float = math.inf


class _Lender:
    """Memory of a result, which holds others' values until it is written."""

    def __init__(self, value: torch.Tensor, until: int) -> None:
        self.until = until
        self._storage = value.untyped_storage()
        self._lent = 0  # bytes

    def lend(self, kind: _Kind) -> torch.Tensor | None:
        """Return a part of the memory; None where it is all lent."""
        dtype, count = kind
        if self._lent + count * dtype.itemsize > self._storage.nbytes():
            return None
        first = self._lent // dtype.itemsize
        self._lent += -(-count * dtype.itemsize // _ALIGNED) * _ALIGNED
        with torch.inference_mode(), torch.no_grad():
            return torch.empty(0, dtype=dtype).set_(self._storage, first, (count,), (1,))  # type: ignore[call-overload]  # a storage


def plan(graph: Graph, given: Values, inputs: Sequence[Node | None], results: Sequence[torch.Tensor | None]) -> None:
    """Rewrite a noted graph in place.

    ``given`` are the values of its placeholders, to which those of the plan are added; ``inputs`` those placeholders whose
    values are others each time; ``results`` what it has returned, in whose memory later results go too.
    """
    join(graph)
    output: Any = graph.output_node().args[0]
    returned = {
        w.memory: value for node, value in zip(output, results, strict=True) if (w := window_of(node)) and value is not None
    }
    _Plan(graph, given, inputs, results, stack(graph, given, returned)).run()


class _Plan:
    def __init__(
        self, graph: Graph, given: Values, inputs: Sequence[Node | None], results: Sequence[torch.Tensor | None], stacks: Stacks
    ) -> None:
        self._graph, self._given = graph, given
        output: Any = graph.output_node().args[0]
        returned = zip(map(window_of, output), results, strict=True)
        changing = {window.memory for node in inputs if (window := window_of(node))}
        self._returned = {w.memory: value for w, value in returned if w and value is not None and w.memory not in changing}
        self._returned |= stacks.returned
        self._stacked = stacks.parts  # never another's
        self._calls = [node for node in graph.nodes if node.op == "call_function"]
        self._ends = _last_uses(graph)
        self._outside = {w.memory: given[node] for node in given if (w := window_of(node)) and w.memory not in changing}
        self._inside: dict[int, _Place] = {}  # planned memory
        self._passed_on: set[int] = set()  # memory over which the result of its last use was written
        self._free: dict[_Kind, list[_Place]] = defaultdict(list)
        self._constants: dict[Window, Node] = {w: node for node in given if (w := window_of(node))}
        self._lenders = [
            _Lender(self._returned[memory], place)
            for place, node in enumerate(self._calls)
            if node.target is not operator.getitem and planned(node, results_of(node))
            for result in results_of(node)
            if (memory := result.meta["window"].memory) in self._returned
        ][::-1]

    def run(self) -> None:
        """Plan memory in the order of the calls, then put constants in the place of all windows on it."""
        ending: dict[int, list[int]] = defaultdict(list)
        for memory, place in self._ends.items():
            ending[place].append(memory)
        for place, node in enumerate(self._calls):
            results = results_of(node)
            if node.target is not operator.getitem and (variant := planned(node, results)):
                self._write(node, results, variant, place)
            for memory in ending[place]:
                self._release(memory)
        for node in self._calls:
            window = window_of(node)
            if window is not None and (constant := self._constant(window)) is not None:
                node.replace_all_uses_with(constant)
        for node in reversed(self._calls):
            if not node.users and is_view(node):
                self._graph.erase_node(node)
        self._return_planned()

    def _return_planned(self) -> None:
        """Let all that is returned be in memory that stays, where autograd may find it."""
        output = self._graph.output_node()
        for node in output.all_input_nodes:
            if node.op != "placeholder":
                window: Window = node.meta["window"]
                value = self._returned.get(window.memory)
                if value is None:  # a part of an input
                    value = torch.empty_strided(window.size, window.stride, dtype=window.dtype)
                else:
                    value = value.as_strided(window.size, window.stride, window.offset)
                place = self._give(window, value)
                with self._graph.inserting_before(output):
                    self._graph.call_function(torch.ops.aten.copy_.default, (place, node))
                output.replace_input_with(node, place)

    def _write(self, node: Node, results: list[Node], variant: OutVariant, place: int) -> None:
        """Let a call write into planned memory."""
        kwargs = dict(node.kwargs)
        for result in results:
            window: Window = result.meta["window"]
            over = self._over(node, window, place) if len(results) == 1 else None
            self._inside[window.memory] = self._memory(window) if over is None else over
        for name, result in zip(variant.names, results, strict=True):
            kwargs[name] = self._constant(result.meta["window"])
            result.meta["fresh"] = False
        node.target, node.kwargs = variant.overload, kwargs

    def _memory(self, window: Window) -> _Place:
        kind = window.dtype, math.prod(window.size)
        if window.memory in self._returned:
            return _Place(self._returned[window.memory].detach().as_strided((kind[1],), (1,), 0))
        if window.memory in self._stacked:
            return _Place(self._stacked[window.memory])
        end, free = self._ends[window.memory], self._free[kind]
        for number in reversed(range(len(free))):
            if free[number].until > end:
                return free.pop(number)
        for lender in self._lenders:  # the latest first
            if lender.until > end and (part := lender.lend(kind)) is not None:
                return _Place(part, lender.until)
        with torch.inference_mode():  # no operation on an inference tensor asks for autograd
            return _Place(torch.empty(kind[1], dtype=kind[0]))

    def _over(self, node: Node, window: Window, place: int) -> _Place | None:
        """Return the memory of an operand that ends with this call, where the result can be written over it."""
        if not is_pointwise(node.target) or self._ends[window.memory] == len(self._calls) or window.memory in self._stacked:  # type: ignore[arg-type]  # an overload
            return None
        windows = [w for each in node.all_input_nodes if (w := window_of(each))]
        for operand in windows:
            memory = operand.memory
            alike = (
                all(w == operand for w in windows if w.memory == memory) and operand._replace(memory=window.memory) == window
            )
            held = self._inside.get(memory)
            if (
                alike
                and held
                and memory not in self._stacked
                and held.until > self._ends[window.memory]
                and self._ends[memory] == place
            ):
                self._passed_on.add(memory)
                return held
        return None

    def _release(self, memory: int) -> None:
        held = self._inside.get(memory)
        if held is not None and memory not in self._passed_on and memory not in self._stacked:
            self._free[held.buffer.dtype, held.buffer.numel()].append(held)

    def _constant(self, window: Window) -> Node | None:
        """Return the placeholder of a window on planned memory, or on memory that was there before; None on other memory."""
        if window not in self._constants:
            held = self._inside.get(window.memory)
            memory: Any = held.buffer if held else self._outside.get(window.memory)
            if memory is None or memory.dtype != window.dtype:
                return None
            with torch.inference_mode(memory.is_inference()), torch.no_grad():
                first = window.offset + (held.buffer.storage_offset() if held else 0)
                self._constants[window] = self._give(window, memory.as_strided(window.size, window.stride, first))
        return self._constants[window]

    def _give(self, window: Window, value: torch.Tensor) -> Node:
        """Return a new placeholder for a value."""
        with self._graph.inserting_before(next(iter(self._graph.nodes))):
            node = self._graph.placeholder(f"given_{len(self._given)}")
        self._given[node] = value
        node.meta["window"] = window
        return node


def _last_uses(graph: Graph) -> dict[int, int]:
    """Return the position among the calls where each memory is last used; that after all for what is returned."""
    found: dict[int, int] = {}
    calls = [node for node in graph.nodes if node.op in ("call_function", "output")]
    for place, node in enumerate(calls):
        for each in (node, *node.all_input_nodes):
            if (window := window_of(each)) is not None:
                found[window.memory] = place
    return found
