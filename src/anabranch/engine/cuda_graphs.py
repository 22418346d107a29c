"""Work that a GPU repeats without the host: captured as a CUDA graph when its shapes repeat, and replayed from then on.

Whether a model's steps can be captured at all is :func:`decide`'s matter, a function of plain facts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

from anabranch import runtime

T = TypeVar("T")
Tensors = Sequence[torch.Tensor | None]
Work = Callable[[Tensors], list[torch.Tensor]]

REPEATS = 3
"""How many batches of one size in a row are computed as usual before the next of that size is captured.

They are real steps: torch and cuDNN choose their kernels in them, and what is made at first use is there. The last, smaller
batch of an epoch never comes twice in a row, so it is never captured.
"""

LIMIT = 4
"""How many graphs are cached for one piece of work: each holds the memory of a step."""


class Facts(NamedTuple):
    """What speaks for and against captured steps."""

    device: str = "cpu"
    run_eagerly: bool = False
    jit_compile: bool | str = "auto"
    custom_step: bool = False
    opaque: tuple[str, ...] = ()
    third_party: tuple[str, ...] = ()
    watching: tuple[str, ...] = ()
    reseeded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    accumulates: bool = False
    optimizer: str = ""
    failure: str = ""


class Decision(NamedTuple):
    """Whether steps are captured, and why, or why not."""

    used: bool
    why: str

    def __str__(self) -> str:
        return f"steps are {'' if self.used else 'not '}replayed as CUDA graphs: {self.why}"


_REASONS: tuple[tuple[str, Callable[[Facts], Any], str], ...] = (
    ("device", lambda facts: facts.device != "cuda" and facts.device, "the device is {}, and CUDA graphs need a CUDA device"),
    ("run_eagerly", lambda facts: facts.run_eagerly, "run_eagerly=True runs layers one by one, for a debugger"),
    ("custom_step", lambda facts: facts.custom_step, "the model writes its own step, which may do other things each time"),
    ("jit_compile", lambda facts: facts.jit_compile is True, "jit_compile=True leaves the model to torch.compile"),
    ("jit_compile off", lambda facts: facts.jit_compile is False, "jit_compile=False asks for plain steps"),
    ("opaque", lambda facts: facts.opaque, "these layers branch on values or have state in Python: {}"),
    ("third_party", lambda facts: facts.third_party,
     "these modules have hooks or are not torch's own, so may act in Python: {}"),
    ("watching", lambda facts: facts.watching, "these values that layers report are gathered in Python: {}"),
    ("reseeded", lambda facts: facts.reseeded, "these layers make a random generator at every call: {}"),
    ("unknown", lambda facts: facts.unknown, "of these functions it is not known whether each step is alike, "
     "which `capturable = True` on them says: {}"),
    ("accumulates", lambda facts: facts.accumulates, "gradient_accumulation_steps makes some steps differ from others"),
    ("optimizer", lambda facts: facts.optimizer, "the update of {} differs from step to step or is torch's own"),
    ("failure", lambda facts: facts.failure, "capturing failed: {}"),
)  # fmt: skip


def decide(facts: Facts) -> Decision:
    """Return whether steps are captured, and the first reason against it where there is one."""
    for _, found, sentence in _REASONS:
        value = found(facts)
        if value:
            names = ", ".join(value) if isinstance(value, tuple) else value
            return Decision(False, sentence.format(names))
    return Decision(True, f"from the {REPEATS + 1}th batch of one size in a row on; batches of other sizes are run as usual")


class DeviceGraph(Protocol):
    """Operations of a device, captured once and replayed."""

    def capture(self, work: Callable[[], T]) -> T:
        """Record what ``work`` does, without effect; replays fill the tensors it returns."""

    def replay(self) -> None:
        """Do it."""


class GraphMaker(Protocol):
    """Makes a graph whose random numbers come from these generators, besides the device's own."""

    def __call__(self, generators: Sequence[torch.Generator]) -> DeviceGraph:
        """Return an empty graph."""


class CudaGraph:
    """A CUDA graph with memory of its own."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._generators = generators

    def capture(self, work: Callable[[], T]) -> T:
        """Record what ``work`` does; a failure leaves generators as they were."""
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
                return work()
        except Exception:
            for generator, state in before:
                generator.graphsafe_set_state(state)
            raise

    def replay(self) -> None:
        """Start it on the current stream."""
        self._graph.replay()


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


class _Captured(NamedTuple):
    graph: DeviceGraph
    inputs: Tensors
    results: list[torch.Tensor]


class Replays:
    """The graphs of one piece of work, one for each signature of its inputs.

    Args:
        work: takes tensors (None where an input is absent) and returns those that a replay is to fill.
        bound: what the work reads and changes besides its inputs, as plain values to compare, such as addresses; where they
            are others than before, all graphs are forgotten.
        make: makes a graph.
        generators: from which the work draws.
    """

    def __init__(
        self,
        work: Work,
        bound: Callable[[], object] = tuple,
        make: GraphMaker = CudaGraph,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        self.work, self.bound, self.generators = work, bound, generators
        self.failure = ""
        self.replayed = 0
        self._make = make
        self._cached: dict[object, _Captured] = {}
        self._bound_to: object = None
        self._last: object = None
        self._row = 0

    def replay(self, inputs: Tensors, before: Callable[[], None] | None = None) -> list[torch.Tensor] | None:
        """Do the work by replaying it, after ``before``, and return the results, which the next replay overwrites.

        None: nothing was done, the caller is to do the work. So it is until the inputs' sizes have repeated, for other sizes,
        and for good after a graph could not be captured; ``failure`` then says why.
        """
        found = self._ready(inputs)
        if found is None:
            return None
        if before is not None:
            before()
        for held, given in zip(found.inputs, inputs, strict=True):
            if held is not None and given is not None:
                held.copy_(given)
        found.graph.replay()
        self.replayed += 1
        return found.results

    def forget(self) -> None:
        """Let go of all graphs and their memory."""
        self._cached.clear()
        self._bound_to, self._row = None, 0

    def _ready(self, inputs: Tensors) -> _Captured | None:
        if self.failure:
            return None
        bound = self.bound()
        if bound != self._bound_to:
            self.forget()
            self._bound_to = bound
        signature = tuple(None if x is None else (x.shape, x.dtype) for x in inputs)
        self._row = self._row + 1 if signature == self._last else 1
        self._last = signature
        if signature in self._cached:
            return self._cached[signature]
        if self._row <= REPEATS or len(self._cached) == LIMIT:
            return None
        return self._capture(inputs, signature)

    def _capture(self, inputs: Tensors, signature: object) -> _Captured | None:
        held = [None if x is None else x.detach().clone() for x in inputs]
        graph = self._make(self.generators)
        try:
            results = graph.capture(lambda: self.work(held))
        except Exception as error:  # whatever it is: run as usual, the work does or says the same
            self._cached.clear()
            self.failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:200]
            return None
        self._cached[signature] = _Captured(graph, held, results)
        return self._cached[signature]
