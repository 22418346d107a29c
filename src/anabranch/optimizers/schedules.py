"""Learning rates as functions of the iteration; plain numbers, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from anabranch._errors import ArgumentError, unknown


class LearningRateSchedule:
    """Base of schedules: subclass and write ``__call__(step)``."""

    def __call__(self, step: int) -> float:
        """Return the learning rate of an iteration, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must write __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """Make one from what ``get_config`` gave."""
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """initial · rate^(step / decay_steps); the exponent is floored with ``staircase``."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, _steps(decay_steps), decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        power = step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate ** (math.floor(power) if self.staircase else power))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including boundaries[0], then values[1], …

    >>> schedule = PiecewiseConstantDecay([32000, 48000], [0.1, 0.01, 0.001])
    >>> schedule(32000), schedule(32001)
    (0.1, 0.01)
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(values) != len(boundaries) + 1:
            raise ArgumentError(
                "There is one value more than boundaries.", got=f"{len(boundaries)} boundaries, {len(values)} values"
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        return float(self.values[sum(step > boundary for boundary in self.boundaries)])


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) · (1 - step / decay_steps)^power + end; with ``cycle`` decay_steps grows to the next multiple."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001, power: float = 1.0,
        cycle: bool = False, name: str = "PolynomialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(decay_steps)
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        whole = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        share = min(step, whole) / whole
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - share) ** self.power + self.end_learning_rate)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + rate · step / decay_steps); the quotient is floored with ``staircase``."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, _steps(decay_steps), decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        time = step / self.decay_steps
        return float(self.initial_learning_rate / (1 + self.decay_rate * (math.floor(time) if self.staircase else time)))


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial to alpha · initial, after a linear warm-up to ``warmup_target`` (Loshchilov & Hutter 2017)."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str = "CosineDecay",
        warmup_target: float | None = None, warmup_steps: int = 0,
    ) -> None:  # fmt: skip
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, _steps(decay_steps), alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate)
        if step < self.warmup_steps:
            share = step / self.warmup_steps
            return float(self.initial_learning_rate + (self.warmup_target - self.initial_learning_rate) * share)
        return self._decayed(step - self.warmup_steps, self.warmup_target)

    def _decayed(self, step: int, start: float) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return float(start * ((1 - self.alpha) * cosine + self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines, each ``t_mul`` times as long and ``m_mul`` times as high as the one before (Loshchilov & Hutter 2017)."""

    def __init__(
        self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0, alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, _steps(first_decay_steps)
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        done = step / self.first_decay_steps
        if self.t_mul == 1:
            restart = math.floor(done)
            done -= restart
        else:
            # log(243) / log(3) is 4.999…: without the small number the fifth restart would come a step late
            restart = math.floor(math.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul) + 1e-9)
            done = (done - (1 - self.t_mul**restart) / (1 - self.t_mul)) / self.t_mul**restart
        cosine = 0.5 * self.m_mul**restart * (1 + math.cos(math.pi * done))
        return float(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))


def _steps(value: int) -> int:
    if value <= 0:
        raise ArgumentError("A schedule takes a positive number of steps.", got=repr(value))
    return value


_CLASSES: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts,
    )
}  # fmt: skip


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return the schedule as plain data."""
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LearningRateSchedule:
    """Return the schedule that ``serialize`` described; ``custom_objects`` maps the user's own by name."""
    known = _CLASSES | (custom_objects or {})
    name = str(config.get("class_name"))
    if name not in known:
        raise unknown("schedule", name, known)
    cls: type[LearningRateSchedule] = known[name]
    return cls.from_config(config.get("config", {}))
