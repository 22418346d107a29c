"""A step on a CPU, noted when it is first taken and run as one program from then on: what a CUDA graph is on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anabranch.engine.captured import Tensors, Work
from anabranch.engine.flat.buffers import plan
from anabranch.engine.flat.calls import shorten
from anabranch.engine.flat.gathering import gathered
from anabranch.engine.flat.noting import Noting
from anabranch.engine.flat.threads import share
from anabranch.engine.lower import made_runnable
from anabranch.runtime.host_threads import threads, threads_restored


class FlatGraph:
    """The operations of a step, and the memory that they go on reading and writing.

    Args:
        generators: from which the step draws.
        gathered: how many of its last results, gradients, are to lie side by side.
    """

    def __init__(self, generators: Sequence[torch.Generator] = (), gathered: int = 0) -> None:
        self._gathered = gathered
        self.unfit = ""
        self.module: torch.fx.GraphModule | None = None
        self._work: Work = tuple
        self._values: list[torch.Tensor | torch.Generator | None] = []
        self._places: list[int | None] = []  # of the inputs among the values
        self._copies: list[torch.Tensor | None] = []  # of inputs in the memory of others, which need not be there again

    def capture(self, work: Work, inputs: Tensors) -> None:
        """Take ``work`` to be noted at the first replay, which is a step like others."""
        self._work = work
        seen: set[int] = set()
        for x in inputs:
            memory = 0 if x is None else int(x.untyped_storage()._cdata)
            self._copies.append(x.detach().clone() if x is not None and memory in seen else None)
            seen.add(memory)

    def replay(self, inputs: Tensors) -> Tensors:
        """Take the step and return what ``work`` does; the next replay overwrites it. ``unfit`` says why it was the last."""
        if any(copy is not None for copy in self._copies):
            pairs = zip(inputs, self._copies, strict=True)
            inputs = [x if x is None or copy is None else copy.copy_(x) for x, copy in pairs]
        if self.module is None:
            return self._first(inputs)
        values = [*self._values]
        for place, x in zip(self._places, inputs, strict=True):
            if place is not None:
                values[place] = x
        # without autograd, but where a kernel asks, as oneDNN's LSTM does, its gradient is wanted
        with threads_restored(), torch.inference_mode(), torch.enable_grad():
            results: Tensors = self.module.forward(*values)
        return results

    def _first(self, inputs: Tensors) -> Tensors:
        noting = Noting(inputs)
        with noting:
            results = self._work(inputs)
        self._work = tuple  # what it holds may go
        if noting.unfit:
            self.unfit = noting.unfit
            return results
        noting.finish(results)
        results = gathered(results, self._gathered)
        plan(noting.graph, noting.given, noting.inputs, results)
        share(noting.graph, threads())
        shorten(noting.graph)
        placeholders = [node for node in noting.graph.nodes if node.op == "placeholder"]
        self._values = [None if node in noting.inputs else noting.given[node] for node in placeholders]
        self._places = [None if node is None else placeholders.index(node) for node in noting.inputs]
        self.module = made_runnable(torch.nn.Module(), noting.graph, training=True)
        return results
