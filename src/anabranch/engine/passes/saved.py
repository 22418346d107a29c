"""What code saves for its gradients, found by running it once on fake tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Graph, Interpreter, Node
from torch.fx.node import Target

from anabranch import runtime
from anabranch.engine.passes.nodes import attribute

Shapes = Sequence[tuple[int, ...]]


class SavedMemory(Interpreter):
    """For each node of a graph, the memory of its results and the memory that is saved for its gradient.

    Memory is known by a number, as several values may share it; that of weights and of the model's inputs is not counted.

    Raises:
        Exception: whatever the code raises that looks at values.
    """

    def __init__(self, graph: Graph, root: torch.nn.Module, shapes: Shapes) -> None:
        super().__init__(root, garbage_collect_values=False, graph=graph)
        self.results: dict[Node, set[int]] = {}
        self.saved: dict[Node, set[int]] = {}
        self._sizes: dict[int, int] = {}
        self._given: set[int] = set()
        self._node: Node | None = None
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        places = [node for node in graph.nodes if node.op == "placeholder"]
        kinds = [getattr(torch, node.meta["dtype"]) for node in places]
        with self._mode, torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(self._keep, _same):
            given = zip(shapes, kinds, strict=True)
            self.run(*(torch.empty(shape, dtype=kind, device=runtime.device()) for shape, kind in given))
        self.env = {}

    def bytes(self, memory: Iterable[int]) -> int:
        """Return how large that memory is."""
        return sum(self._sizes[number] for number in memory)

    def run_node(self, node: Node) -> object:
        """Run a node and note the memory of its results."""
        self._node = node
        found = super().run_node(node)
        numbers = {self._number(value) for value in _tensors(found)}
        if node.op in ("placeholder", "get_attr"):
            self._given |= numbers
        self.results[node] = numbers - self._given
        return found

    def get_attr(self, target: Target, args: object, kwargs: object) -> object:
        """Return a weight as a fake tensor."""
        value = attribute(self.module, str(target))
        return self._mode.from_tensor(value) if isinstance(value, torch.Tensor) else value

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        number = self._number(tensor)
        if number not in self._given and self._node is not None:
            self.saved.setdefault(self._node, set()).add(number)
        return tensor

    def _number(self, tensor: torch.Tensor) -> int:
        storage = tensor.untyped_storage()
        number = int(storage._cdata)
        self._sizes[number] = storage.nbytes()
        return number


def _tensors(value: object) -> list[torch.Tensor]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if isinstance(each, torch.Tensor)]


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
