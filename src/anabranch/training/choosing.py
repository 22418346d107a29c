"""Whether steps compiled by torch.compile are in fact faster than plain ones: both are taken and timed, the faster stays.

Every step that is timed is a step of the training. Compiled ones come first; plain ones are replayed where they can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from anabranch import runtime
from anabranch.engine.captured import REPEATS
from anabranch.runtime.devices import HOST
from anabranch.training.data.batch import Batch

WARM = REPEATS + 3
"""How many steps of one size in a row are not timed: in these code is compiled, or captured."""
TIMED = 8
"""How many steps of one size are timed; their median counts, as an epoch may end in between."""
MARGIN = 0.03
"""By which fraction plain steps must be faster to be chosen: who asks for compiled steps gets them at a draw."""


def device_time() -> float:
    """Return the time, in seconds, at which the device has done what it was given."""
    if (device := runtime.device()).type not in HOST:
        torch.get_device_module(device).synchronize(device)
    return time.perf_counter()


class Choice:
    """Which steps a model with ``jit_compile=True`` takes: compiled or plain."""

    def __init__(self, clock: Callable[[], float] = device_time) -> None:
        self.plain = False
        """Whether steps are plain ones at present."""
        self.line = ""
        """What was measured and chosen; "" until then."""
        self._clock = clock
        self._times: dict[object, list[float]] = {}
        self._last: object = None
        self._row = 0

    def take(self, step: Callable[[Batch], None], batch: Batch) -> bool:
        """Take a step of the present way, and return whether the next one is to be of the other."""
        sizes = tuple(None if x is None else tuple(x.shape) for x in batch.x)
        self._row = self._row + 1 if sizes == self._last else 1
        self._last = sizes
        if self.line or self._row <= WARM:
            step(batch)
            return False
        before = self._clock()
        step(batch)
        times = self._times.setdefault((self.plain, sizes), [])
        times.append(self._clock() - before)
        return len(times) >= TIMED and self._decide(times, self._times.get((not self.plain, sizes), []))

    def _decide(self, times: list[float], others: list[float]) -> bool:
        """Choose where both ways are measured; return whether the way changes."""
        before = self.plain
        if len(others) < TIMED:
            self.plain, self._row = not before, 0
            return True
        plain, compiled = map(_median, (times, others) if before else (others, times))
        self.plain = plain < compiled * (1 - MARGIN)
        chosen = "plain ones were measured faster and stay" if self.plain else "these stay"
        self.line = f"steps by torch.compile took {_shown(compiled)}, plain ones {_shown(plain)}: {chosen}"
        return self.plain is not before


def _shown(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _median(times: Sequence[float]) -> float:
    """Return the median; the module of statistics would be loaded for it alone."""
    middle = sorted(times)
    return (middle[(len(middle) - 1) // 2] + middle[len(middle) // 2]) / 2
