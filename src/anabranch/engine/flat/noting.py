"""Notes the operations of a step while it is taken, forward, loss, backward pass and metrics, as one fx graph.

A tensor is a window on a memory. Autograd, layers and losses have acted before an operation is dispatched, so what is noted is
all that has to be repeated; a weight, a batch or a state that was there before is a placeholder, whose memory is read again.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node
from torch.fx.node import Argument, map_aggregate
from torch.multiprocessing.reductions import StorageWeakRef

from anabranch.runtime.torch_facts import Watching

SMALL = 1 << 16
"""Bytes that results may have on average: above, torch's own work is so much that the host's counts little beside it.

An operation costs the host some 5 µs; in that time a core reads and writes 64 KiB about once.
"""
_FEW = 64  # operations below which the average says nothing
_BY_VALUES = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


def _is_plain(value: torch.Tensor) -> bool:
    """Return whether a tensor is strided memory as it is, and no class of somebody's own that dispatches."""
    own = type(value).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
    return not (own or value.layout != torch.strided or value.is_conj() or value.is_neg())


class Window(NamedTuple):
    """A tensor as what it shows of a memory."""

    memory: int
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


def window_of(node: object) -> Window | None:
    """Return the window that a node of a noted graph gives; None for what is no tensor."""
    found: Window | None = node.meta.get("window") if isinstance(node, Node) else None
    return found


class Noting(Watching):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """Notes each operation inside the block; ``unfit`` says why a step cannot be repeated so, and then nothing is noted."""

    def __init__(self, inputs: Sequence[torch.Tensor | None] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
        self.graph = Graph()
        self.unfit = ""
        self.given: dict[Node, torch.Tensor | torch.Generator] = {}  # the value of each placeholder
        self._nodes: dict[Window | int, Node] = {}
        self._memories: dict[int, StorageWeakRef] = {}  # by which no number is another's, though the memory is freed
        self._bytes = self._operations = 0
        self.inputs = [None if x is None else self._node(self._window(x), x) for x in inputs]
        """The placeholders of what is another memory in each step."""
        self._changing = {window.memory for node in self.inputs if (window := window_of(node))}

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        """Run and note one operation."""
        if not self.unfit and any(tag in func.tags for tag in _BY_VALUES):
            self._refuse(f"{func} gives what depends on values")
        if self.unfit:
            return func(*args, **(kwargs or {}))
        given: Any = map_aggregate((tuple(args), dict(kwargs or {})), self._argument)  # type: ignore[type-var]  # whatever is taken
        result = func(*args, **(kwargs or {}))
        if not self.unfit:
            self._note(self.graph.call_function(func, *given), result)
        return result

    def finish(self, results: Sequence[torch.Tensor | None]) -> None:
        """End the graph, which returns these tensors."""
        self.graph.output(tuple(self._argument(result) for result in results))
        self._memories.clear()

    def _refuse(self, why: str) -> None:
        self.unfit, self.graph = why, Graph()
        for held in (self.given, self._nodes, self._memories, self._changing):
            held.clear()

    def _argument(self, value: object) -> Argument:
        if isinstance(value, torch.Tensor):
            if not _is_plain(value):
                self._refuse(f"a tensor is a {type(value).__name__} of layout {value.layout}")
                return None
            window = self._window(value)
            if window.memory in self._changing and window not in self._nodes:
                self._refuse("a tensor shows memory of the batch, and no operation has given it")
                return None
            return self._node(window, value)
        if isinstance(value, torch.Generator):
            return self._node(id(value), value)
        return value  # type: ignore[return-value]  # numbers, types and the like

    def _node(self, key: Window | int, value: torch.Tensor | torch.Generator) -> Node:
        """Return the node that gives a value; a placeholder where nothing noted has given it."""
        if key not in self._nodes:
            node = self._nodes[key] = self.graph.placeholder(f"given_{len(self.given)}")
            self.given[node] = value
            if isinstance(key, Window):
                node.meta["window"] = key
        return self._nodes[key]

    def _window(self, tensor: torch.Tensor) -> Window:
        storage = tensor.untyped_storage()
        number = int(storage._cdata)
        if number not in self._memories:
            self._memories[number] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        return Window(number, tensor.dtype, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))

    def _note(self, node: Node, result: object) -> None:
        self._operations += 1
        if isinstance(result, torch.Tensor):
            self._give(node, result)
        for place, part in enumerate(result if isinstance(result, (tuple, list)) else ()):
            if isinstance(part, torch.Tensor):
                self._give(self.graph.call_function(operator.getitem, (node, place)), part)
        if self._bytes > SMALL * max(self._operations, _FEW):
            self._refuse("its operations are so large that the host's work counts little beside them")

    def _give(self, node: Node, result: torch.Tensor) -> None:
        known = len(self._memories)
        window = node.meta["window"] = self._window(result)
        node.meta["fresh"] = len(self._memories) > known  # not memory of an argument
        if node.meta["fresh"]:
            self._bytes += result.untyped_storage().nbytes()
        self._nodes[window] = node
