"""What a GPU repeats without the host: operations captured as a CUDA graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from anabranch import runtime
from anabranch.engine.captured import Held, Tensors, Work

T = TypeVar("T")


class CudaGraph:
    """A CUDA graph with memory of its own."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.unfit = ""
        self._graph = torch.cuda.CUDAGraph()
        self._generators = generators
        self._results: Tensors = ()
        self._held = Held(())

    def capture(self, work: Work, inputs: Tensors) -> None:
        """Record what ``work`` does on copies of ``inputs``; a failure leaves generators as they were."""
        self._held = Held(inputs)
        device = _device()
        own = torch.cuda.default_generators[device]
        before = [(generator, generator.clone_state()) for generator in (own, *self._generators)]
        for generator in self._generators:
            self._graph.register_generator_state(generator)
        try:
            # "thread_local": threads that fetch the next batches may pin memory meanwhile
            with (
                torch.cuda.device(device),
                torch.cuda.graph(self._graph, stream=_side_stream(device), capture_error_mode="thread_local"),
            ):
                self._results = work(self._held.tensors)
        except Exception:
            for generator, state in before:
                generator.graphsafe_set_state(state)
            raise

    def replay(self, inputs: Tensors) -> Tensors:
        """Start it on the current stream."""
        self._held.take(inputs)
        self._graph.replay()
        return self._results


def _device() -> int:
    """Return the number of the device in use, which need not be the one torch counts as current."""
    return runtime.device().index


@functools.cache
def _side_stream(device: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it unannotated


def aside(work: Callable[[], T]) -> T:
    """Do ``work`` on a stream beside the current one: what is made for the first time there is not tied to the default stream.

    Capturing could not follow a tie to that.
    """
    if runtime.device().type != "cuda":
        return work()
    device = _device()
    current, side = torch.cuda.current_stream(device), _side_stream(device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        result = work()
    current.wait_stream(side)
    return result
