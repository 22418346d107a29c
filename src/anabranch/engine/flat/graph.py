"""A step on a CPU, noted when it is first taken and run as one program from then on: what a CUDA graph is on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from anabranch.engine.flat.buffers import plan
from anabranch.engine.flat.calls import shorten
from anabranch.engine.flat.noting import Noting
from anabranch.engine.lower import made_runnable

Results = Sequence[torch.Tensor | None]


class FlatGraph:
    """The operations of a step, and the memory that they go on reading and writing."""

    def __init__(self, generators: Sequence[torch.Generator] = ()) -> None:
        self.unfit = ""
        self.module: torch.fx.GraphModule | None = None
        self._work: Callable[[], Results] = tuple
        self._values: list[torch.Tensor | torch.Generator] = []

    def capture(self, work: Callable[[], Results]) -> None:
        """Take ``work`` to be noted at the first replay, which is a step like others."""
        self._work = work

    def replay(self) -> Results:
        """Take the step and return what ``work`` does; the next replay overwrites it. ``unfit`` says why it was the last."""
        if self.module is None:
            return self._first()
        # without autograd, but where a kernel asks, as oneDNN's LSTM does, its gradient is wanted
        with torch.inference_mode(), torch.enable_grad():
            results: Results = self.module.forward(*self._values)
        return results

    def _first(self) -> Results:
        noting = Noting()
        with noting:
            results = self._work()
        self._work = tuple  # what it holds may go
        if noting.unfit:
            self.unfit = noting.unfit
            return results
        noting.finish(results)
        plan(noting.graph, noting.given, results)
        shorten(noting.graph)
        self._values = [noting.given[node] for node in noting.graph.nodes if node.op == "placeholder"]
        self.module = made_runnable(torch.nn.Module(), noting.graph, training=True)
        return results
