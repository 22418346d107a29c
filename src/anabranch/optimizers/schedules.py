"""Learning rates as functions of the training step; plain numbers, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from anabranch import registry
from anabranch._arguments import guarded
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Configurable, Field, boolean, field, number, text
from anabranch.registry import Json, Registry, finder, writer

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip
__dir__ = __all__.copy


class LearningRateSchedule(Configurable):
    """Base of schedules: subclass and write ``__call__(step)``.

    Settings are fields, as those of the schedules here, or plain attributes named as the constructor's arguments.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __init__(self, start):
        ...         self.start = start
        ...
        ...     def __call__(self, step):
        ...         return self.start * 0.5**step
        >>> Halving(0.8)(2), Halving(0.8).get_config()
        (0.2, {'start': 0.8})
    """

    def __call__(self, step: float) -> float:
        """Return the learning rate of a step.

        Args:
            step: how many batches the optimizer has seen, an integer from 0.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """Return all settings as JSON, defaults included.

        Example:
            >>> PiecewiseConstantDecay([100], [0.1, 0.01]).get_config()
            {'boundaries': [100], 'values': [0.1, 0.01], 'name': 'PiecewiseConstant'}
        """
        own = {name: registry.serialize(value) for name, value in vars(self).items() if name[0] not in ":_"}
        return super().get_config() | own


def _numbers(value: Any, owner: object, name: str) -> list[float]:
    try:
        found = [each if type(each) in (int, float) else float(each) for each in value]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name} must be a sequence of numbers.", got=repr(value)[:120]) from None
    if not all(map(math.isfinite, found)):
        raise ArgumentError(f"{name} must be finite numbers.", got=repr(value)[:120])
    return found


INITIAL_DOC = "the learning rate of step 0."


class _OverTime(LearningRateSchedule):
    """Base of schedules over the time step / decay_steps."""

    initial_learning_rate: Field[float, float] = number(least=0, doc=INITIAL_DOC)
    decay_steps: Field[float, float] = number(above=0, doc="how many steps are one unit of time.")
    decay_rate: Field[float, float] = number(least=0, doc="how far the learning rate goes down in one: the rate above.")
    staircase: Field[bool, bool] = boolean(default=False, doc="whether the time is rounded down.")
    _field_order_ = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    @guarded
    def __call__(self, step: float) -> float:
        """Return the learning rate of a step."""
        time = step / self.decay_steps
        return self._decayed(math.floor(time) if self.staircase else time)

    def _decayed(self, time: float) -> float:
        raise NotImplementedError


class ExponentialDecay(_OverTime):
    """Multiply the learning rate by ``decay_rate`` every ``decay_steps``: initial · rate^(step / decay_steps).

    Example:
        >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
        0.025
    """

    name: Field[str, str] = text(default="ExponentialDecay", doc="a name.")
    _field_order_ = _OverTime._field_order_

    def _decayed(self, time: float) -> float:
        return self.initial_learning_rate * float(self.decay_rate**time)


class InverseTimeDecay(_OverTime):
    """Divide the learning rate by a line: initial / (1 + rate · step / decay_steps).

    Example:
        >>> steps = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0, staircase=True)
        >>> steps(9), steps(10)
        (0.1, 0.05)
    """

    name: Field[str, str] = text(default="InverseTimeDecay", doc="a name.")
    _field_order_ = _OverTime._field_order_

    def _decayed(self, time: float) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * time)


class PiecewiseConstantDecay(LearningRateSchedule):
    """Use values[0] up to and including step boundaries[0], then values[1], and so on.

    Example:
        >>> schedule = PiecewiseConstantDecay([32000, 48000], [0.1, 0.01, 0.001])
        >>> schedule(32000), schedule(32001)
        (0.1, 0.01)
    """

    boundaries: Field[Sequence[float], list[float]] = field(convert=_numbers, doc="the last step of each value but the last.")
    values: Field[Sequence[float], list[float]] = field(convert=_numbers, doc="the learning rates, one more than boundaries.")
    name: Field[str, str] = text(default="PiecewiseConstant", doc="a name.")

    def _check_(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                "values must have one entry more than boundaries.",
                got=f"{len(self.boundaries)} boundaries, {len(self.values)} values",
            )

    @guarded
    def __call__(self, step: float) -> float:
        """Return the learning rate of a step."""
        return float(self.values[sum(step > boundary for boundary in self.boundaries)])


class PolynomialDecay(LearningRateSchedule):
    """Go from initial to end: (initial - end) · (1 - step / decay_steps)^power + end.

    Example:
        >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5)
        0.05
    """

    initial_learning_rate: Field[float, float] = number(least=0, doc=INITIAL_DOC)
    decay_steps: Field[float, float] = number(above=0, doc="the step at which the end is reached.")
    end_learning_rate: Field[float, float] = number(default=0.0001, least=0, doc="the learning rate from then on.")
    power: Field[float, float] = number(default=1.0, least=0, doc="the exponent; 1 is a line.")
    cycle: Field[bool, bool] = boolean(
        default=False, doc="whether decay_steps grows to its next multiple, so that the rate rises again."
    )
    name: Field[str, str] = text(default="PolynomialDecay", doc="a name.")

    @guarded
    def __call__(self, step: float) -> float:
        """Return the learning rate of a step."""
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        done = min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - done) ** self.power + self.end_learning_rate)


ALPHA_DOC = "the lowest learning rate, as a fraction of the highest."


class CosineDecay(LearningRateSchedule):
    """Go down half a cosine, after a linear warm-up where one is asked for (Loshchilov & Hutter 2017, §3).

    With c = (1 + cos(π · step / decay_steps)) / 2 the rate is initial · ((1 - alpha) · c + alpha); after a warm-up
    ``warmup_target`` takes the place of initial.

    Example:
        >>> CosineDecay(0.1, decay_steps=10)(5)
        0.05
    """

    initial_learning_rate: Field[float, float] = number(least=0, doc=INITIAL_DOC)
    decay_steps: Field[float, float] = number(above=0, doc="how many steps the half cosine takes.")
    alpha: Field[float, float] = number(default=0.0, least=0, doc=ALPHA_DOC)
    name: Field[str, str] = text(default="CosineDecay", doc="a name.")
    warmup_target: Field[float | None, float | None] = number(
        default=None, optional=True, doc="the learning rate at the end of the warm-up; None for no warm-up."
    )
    warmup_steps: Field[float, float] = number(default=0, least=0, doc="how many steps the warm-up takes.")

    @guarded
    def __call__(self, step: float) -> float:
        """Return the learning rate of a step."""
        target, warmup = self.warmup_target, self.warmup_steps
        if target is None:
            return self._decayed(step, self.initial_learning_rate)
        if step < warmup:
            return float(self.initial_learning_rate + (target - self.initial_learning_rate) * (step / warmup))
        return self._decayed(step - warmup, target)

    def _decayed(self, step: float, start: float) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return float(start * ((1 - self.alpha) * cosine + self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """Repeat half cosines, each ``t_mul`` times as long and ``m_mul`` times as high (Loshchilov & Hutter 2017, §3).

    Example:
        >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
        >>> schedule(0), schedule(10), schedule(30)
        (0.1, 0.05, 0.025)
    """

    initial_learning_rate: Field[float, float] = number(least=0, doc=INITIAL_DOC)
    first_decay_steps: Field[float, float] = number(above=0, doc="how many steps the first half cosine takes.")
    t_mul: Field[float, float] = number(default=2.0, above=0, doc="how many times as long each half cosine is.")
    m_mul: Field[float, float] = number(default=1.0, least=0, doc="how many times as high each begins.")
    alpha: Field[float, float] = number(default=0.0, least=0, doc=ALPHA_DOC)
    name: Field[str, str] = text(default="SGDRDecay", doc="a name.")

    @guarded
    def __call__(self, step: float) -> float:
        """Return the learning rate of a step."""
        done = step / self.first_decay_steps
        if self.t_mul == 1:
            restart = math.floor(done)
            done -= restart
        elif done * (1 - self.t_mul) >= 1:  # ever shorter half cosines have an end
            return float(self.initial_learning_rate * self.alpha)
        else:
            # log(243) / log(3) is 4.999…: without the small number the fifth restart would come a step late
            restart = math.floor(math.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul) + 1e-9)
            done = (done - (1 - self.t_mul**restart) / (1 - self.t_mul)) / self.t_mul**restart
        cosine = 0.5 * self.m_mul**restart * (1 + math.cos(math.pi * done))
        return float(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))


_registry: Registry[LearningRateSchedule] = Registry(
    "schedule", "keras.optimizers.schedules", LearningRateSchedule,
    lambda: {name: globals()[name] for name in __all__ if name not in ("LearningRateSchedule", "deserialize", "serialize")},
    callables=False,
)  # fmt: skip


@writer
def serialize(schedule: LearningRateSchedule) -> Json:
    """Return a schedule as JSON.

    Example:
        >>> serialize(ExponentialDecay(0.1, 10, 0.5))["class_name"]
        'ExponentialDecay'
    """
    return _registry.serialize(schedule)


@finder
def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> LearningRateSchedule:
    """Return the schedule that ``serialize`` described.

    Raises:
        UnknownNameError: neither this package nor the caller knows the class.

    Example:
        >>> deserialize(serialize(InverseTimeDecay(0.1, 10, 1.0)))(10)
        0.05
    """
    return _registry.deserialize(config, custom_objects)
