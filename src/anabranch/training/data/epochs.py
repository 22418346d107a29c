"""How a source's batches are divided into epochs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from anabranch import config, runtime
from anabranch.graph.call_site import warn
from anabranch.training.data import position
from anabranch.training.data.batch import Batch
from anabranch.training.data.sources import Source


@dataclasses.dataclass
class Begun:
    """Where a pass through a source began, and how many batches were taken since."""

    epoch: int
    random: dict[str, Any]
    items: dict[str, Any]
    taken: int = 0


class Epochs:
    """Divides a source's batches into epochs, of ``steps`` batches each where that is given."""

    def __init__(self, source: Source, steps: int | None) -> None:
        self.source = source
        self._asked = steps
        self.limit = _allowed(steps, source.steps)
        self.steps = self.limit or source.steps
        self.ran_out = False
        self._pass: Iterator[Batch] | None = None  # what is left of the current pass through the source
        self._epoch: Iterator[Batch] | None = None
        self._begun: Begun | None = None
        self._watched = False

    def watch(self) -> None:
        """Note from now on where passes begin, so that ``state`` can say it."""
        self._watched = True

    def state(self, *, inside: bool) -> dict[str, Any]:
        """Return where the data are; ``inside`` an epoch or between two."""
        begun = self._begun
        if begun is None:
            return {}
        items, inside = self.source.items, inside if self.limit is None else self._pass is not None
        if isinstance(items, position.Stateful) or not (inside or self.source.once):  # where they are now is what counts
            begun = dataclasses.replace(begun, items=position.state_of(items))
        return {"fit": self.source.fit, "open": inside, "begun": vars(begun)}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go where ``state`` said, which draws random numbers as the way there did."""
        if not state:
            return
        source, begun = self.source, Begun(**state["begun"])
        source.fit, knows = state["fit"], isinstance(self.source.items, position.Stateful)
        position.set_state(source.items, begun.items)
        if not (state["open"] or source.once):
            return
        runtime.set_random_states(begun.random)
        batches = source.batches(begun.epoch, 0 if knows else begun.taken)
        self._begun = begun
        if state["open"]:
            self._pass = self._counted(batches, begun)

    def _start(self, epoch: int) -> Iterator[Batch]:
        """Begin a pass."""
        if not self._watched:
            return self.source.batches(epoch)
        if self._begun is None or not self.source.once:
            self._begun = Begun(epoch, runtime.random_states(), position.state_of(self.source.items))
        return self._counted(self.source.batches(epoch), self._begun)

    def _counted(self, batches: Iterator[Batch], begun: Begun) -> Iterator[Batch]:
        try:
            for batch in batches:
                begun.taken += 1
                yield batch
                batch = None  # type: ignore[assignment]  # its memory is free for the next one
        finally:
            if isinstance(batches, Generator):
                batches.close()

    def close(self) -> None:
        """End what an unfinished pass still runs, such as threads that fetch its next batches."""
        for batches in (self._epoch, self._pass):
            if isinstance(batches, Generator):
                batches.close()
        self._epoch = self._pass = None
        self.source.close()

    def restart(self) -> None:
        """Drop an unfinished pass; a generator continues where it stopped."""
        self._pass = None

    def epoch(self, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Return the batches of one epoch of which ``done`` were taken; with ``steps``, a pass may continue in the next epoch.

        Sets ``ran_out`` where the source ended before ``steps`` batches.
        """
        self.ran_out = False
        if self.limit is not None:
            self._epoch = self._limited(epoch, self.limit, done)
        else:
            self._epoch, self._pass = self._pass or self._start(epoch), None
        return self._epoch

    def _limited(self, epoch: int, limit: int, count: int) -> Iterator[Batch]:
        begun = False
        while count < limit:
            if self._pass is None:
                if begun:
                    self.ran_out = self._asked is not None
                    return
                self._pass = self._start(epoch)
                begun = True
            batch = next(self._pass, None)
            if batch is None:
                self._pass = None
                begun = begun or self.source.once
                continue
            count += 1
            yield batch
            batch = None


def _allowed(steps: int | None, known: int | None) -> int | None:
    """Return how many steps are asked for, or as many as ``config`` allows where these are fewer; None for all."""
    most = config.max_steps_per_epoch()
    if most is None or most >= (steps or known or math.inf):
        return steps
    warn(f"Only {most} of {steps or known or 'all'} steps are taken: config.max_steps_per_epoch() is {most}.")
    return most
