"""Work that is repeated without its Python: captured when its shapes repeat, and replayed from then on.

A GPU replays CUDA graphs, a CPU programs of noted operations. Whether a model's steps can be captured at all is
:func:`decide`'s matter, a function of plain facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch

Tensors = Sequence[torch.Tensor | None]
Work = Callable[[Tensors], Tensors]

REPEATS = 3
"""How many batches of one size are computed as usual before the next of that size is captured.

They are real steps: torch and cuDNN choose their kernels in them, and what is made at first use is there. In training they come
in a row: the last, smaller batch of an epoch never does, so it is never captured, which would take the memory of a step for it.
Predictions need less memory, and count batches of one size wherever they come, so that the smaller last one is captured too.
"""

LARGE = 1 << 17
"""Bytes of an input above which a step on a CPU is run as usual: torch's own work is so much that the host's counts little."""

_SIZES = 64
"""How many sizes are counted before counting begins again: sizes as various as that do not settle."""

LIMIT = 4
"""How many graphs are cached for one piece of work: each holds the memory of a step."""


class Facts(NamedTuple):
    """What speaks for and against captured steps."""

    device: str = "cpu"
    training: bool = False
    run_eagerly: bool = False
    jit_compile: bool | str = "auto"
    custom_step: bool = False
    opaque: tuple[str, ...] = ()
    third_party: tuple[str, ...] = ()
    watching: tuple[str, ...] = ()
    reseeded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    hooked: tuple[str, ...] = ()
    around: str = ""
    recomputes: bool = False
    accumulates: bool = False
    optimizer: str = ""
    unfit: str = ""
    failure: str = ""

    @property
    def flat(self) -> bool:
        """Whether the question is that of a CPU: is a training step one program, run without autograd."""
        return self.training and self.device == "cpu"


class Decision(NamedTuple):
    """Whether steps are captured, and why, or why not."""

    used: bool
    why: str
    flat: bool = False

    def __str__(self) -> str:
        how = "one program without autograd" if self.flat else "CUDA graphs"
        return f"steps are {'' if self.used else 'not '}replayed as {how}: {self.why}"


_REASONS: tuple[tuple[str, Callable[[Facts], Any], str], ...] = (
    ("device", lambda facts: facts.device != "cuda" and not facts.flat and facts.device,
     "the device is {}, and CUDA graphs need a CUDA device"),
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
    ("hooked", lambda facts: facts.hooked, "these weights have hooks, which run in Python: {}"),
    ("around", lambda facts: facts.around, "{} is on around the step"),
    ("recomputes", lambda facts: facts.flat and facts.recomputes,
     "remat= sets random generators back in Python, and saves memory, which a program without autograd plans itself"),
    ("accumulates", lambda facts: facts.accumulates, "gradient_accumulation_steps makes some steps differ from others"),
    ("optimizer", lambda facts: facts.optimizer, "the update of {} differs from step to step or is torch's own"),
    ("unfit", lambda facts: facts.unfit, "{}"),
    ("failure", lambda facts: facts.failure, "capturing failed: {}"),
)  # fmt: skip


def decide(facts: Facts) -> Decision:
    """Return whether steps are captured, and the first reason against it where there is one."""
    for _, found, sentence in _REASONS:
        value = found(facts)
        if value:
            names = ", ".join(value) if isinstance(value, tuple) else value
            return Decision(False, sentence.format(names), facts.flat)
    row = " in a row" if facts.training else ""
    usual = f"from the {REPEATS + 1}th batch of one size{row} on; batches of other sizes are run as usual"
    if facts.flat:
        usual += f", and those above {LARGE >> 10} KiB, beside whose operations the host's work counts little"
    return Decision(True, usual, facts.flat)


class DeviceGraph(Protocol):
    """Operations of a device, captured once and replayed."""

    unfit: str
    """Why the work cannot be replayed again, known after the first replay; "" where it can."""

    def capture(self, work: Work, inputs: Tensors) -> None:
        """Take up what ``work`` does, without effect."""

    def replay(self, inputs: Tensors) -> Tensors:
        """Do it on ``inputs`` and return what it gives, which the next replay overwrites."""


class GraphMaker(Protocol):
    """Makes a graph whose random numbers come from these generators, besides the device's own."""

    def __call__(self, generators: Sequence[torch.Generator]) -> DeviceGraph:
        """Return an empty graph."""


class Held:
    """Copies of inputs, whose memory captured work goes on reading."""

    def __init__(self, inputs: Tensors) -> None:
        self.tensors = [None if x is None else x.detach().clone() for x in inputs]

    def take(self, inputs: Tensors) -> None:
        """Take the values of other inputs."""
        for held, given in zip(self.tensors, inputs, strict=True):
            if held is not None and given is not None:
                held.copy_(given)


class Replays:
    """The graphs of one piece of work, one for each signature of its inputs.

    Args:
        work: takes tensors (None where an input is absent) and returns those that a replay is to fill.
        bound: what the work reads and changes besides its inputs, as plain values to compare, such as addresses; where they
            are others than before, all graphs are forgotten.
        make: makes a graph.
        generators: returns those from which the work draws.
        in_row: whether sizes are counted only while they follow each other.
    """

    def __init__(
        self,
        work: Work,
        bound: Callable[[], object],
        make: GraphMaker,
        generators: Callable[[], Sequence[torch.Generator]] = tuple,
        in_row: bool = True,
    ) -> None:
        self.work, self.bound, self.generators = work, bound, generators
        self.failure = self.unfit = ""
        self.replayed = 0
        self.make = make
        self._cached: dict[object, DeviceGraph] = {}
        self._latest: Tensors = ()
        self._bound_to: object = None
        self._in_row = in_row
        self._seen: dict[object, int] = {}

    def replay(self, inputs: Tensors, before: Callable[[], None] | None = None) -> Tensors | None:
        """Do the work by replaying it, after ``before``, and return the results, which the next replay overwrites.

        None: nothing was done, the caller is to do the work. So it is until the inputs' sizes have repeated, for other sizes,
        and for good after a graph could not be captured or replayed again; ``failure`` or ``unfit`` then says why.
        """
        found = self._ready(inputs)
        if found is None:
            return None
        if before is not None:
            before()
        results = self._latest = found.replay(inputs)
        self.replayed += 1
        if found.unfit:
            self.unfit = found.unfit
            self.forget()
        return results

    def held(self) -> Tensors:
        """Return the results of the latest replay, whose memory stays; () where no graph can be replayed as things are."""
        return self._latest if self._cached and self.bound() == self._bound_to else ()

    def forget(self) -> None:
        """Let go of all graphs and their memory."""
        self._cached.clear()
        self._seen.clear()
        self._bound_to, self._latest = None, ()

    def _ready(self, inputs: Tensors) -> DeviceGraph | None:
        if self.failure or self.unfit:
            return None
        bound = self.bound()
        if bound != self._bound_to:
            self.forget()
            self._bound_to = bound
        signature = tuple(None if x is None else (x.shape, x.stride(), x.dtype) for x in inputs)
        count = self._seen.get(signature, 0) + 1
        if (self._in_row and signature not in self._seen) or len(self._seen) == _SIZES:
            self._seen.clear()
        self._seen[signature] = count
        if signature in self._cached:
            return self._cached[signature]
        if count <= REPEATS or len(self._cached) == LIMIT:
            return None
        return self._capture(inputs, signature)

    def _capture(self, inputs: Tensors, signature: object) -> DeviceGraph | None:
        graph = self.make(self.generators())
        try:
            graph.capture(self.work, inputs)
        except Exception as error:  # whatever it is: run as usual, the work does or says the same
            self.forget()
            self.failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:200]
            return None
        self._cached[signature] = graph
        return graph
