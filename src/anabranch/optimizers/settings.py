"""The settings that all optimizers share, and which of them go together."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Self

from anabranch import _custom_objects
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Configurable, Field, boolean, field, integer, number
from anabranch.graph import snake_case
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.schedules import LearningRateSchedule

_SETTING = operator.attrgetter(":learning_rate")

DECAY_DOC = "λ in w ← w · (1 - lr · λ), which is done before each update; None for no decay."
LIMITS = ("clipnorm", "clipvalue", "global_clipnorm")
_FORMER = {"lr": "learning_rate", "decay": "learning_rate=schedules.InverseTimeDecay(…)"}  # Keras 2's arguments


def _named(value: object, owner: object, name: str) -> str:
    if value is None:
        return snake_case((owner if isinstance(owner, type) else type(owner)).__name__)
    if isinstance(value, str):
        return value
    raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a string or None.", got=repr(value)[:120])


class Settings(Configurable):
    """What every optimizer can be given besides its rule. Abstract: the base of Optimizer."""

    learning_rate: Field[RateLike, LearningRate] = rate_field()
    weight_decay: Field[float | None, float | None] = number(default=None, least=0, optional=True, kw_only=True, doc=DECAY_DOC)
    clipnorm: Field[float | None, float | None] = number(
        default=None, above=0, optional=True, kw_only=True, doc="the greatest L2 norm of each weight's gradient."
    )
    clipvalue: Field[float | None, float | None] = number(
        default=None, above=0, optional=True, kw_only=True, doc="the greatest absolute value of an element of a gradient."
    )
    global_clipnorm: Field[float | None, float | None] = number(
        default=None, above=0, optional=True, kw_only=True, doc="the greatest L2 norm of all gradients together."
    )
    use_ema: Field[bool, bool] = boolean(
        default=False,
        kw_only=True,
        doc="whether weights are averaged exponentially; the averages replace them when training ends.",
    )
    ema_momentum: Field[float, float] = number(
        default=0.99, least=0, most=1, kw_only=True, doc="μ in average ← μ · average + (1 - μ) · w, after each update."
    )
    ema_overwrite_frequency: Field[int | None, int | None] = integer(
        default=None,
        optional=True,
        kw_only=True,
        doc="after how many updates the averages replace the weights; None for at the end only.",
    )
    loss_scale_factor: Field[float | None, float | None] = number(
        default=None,
        above=0,
        optional=True,
        kw_only=True,
        doc="a factor of the loss before the backward pass; gradients are divided by it.",
    )
    gradient_accumulation_steps: Field[int | None, int | None] = integer(
        default=None, least=2, optional=True, kw_only=True,
        doc="update once in so many batches, by their mean gradient; a schedule counts batches, iterations count updates.",
    )  # fmt: skip
    name: Field[str | None, str] = field(
        default=None, convert=_named, kw_only=True, doc="a name; that of the class in snake case unless given."
    )

    def _one_limit_(self, limits: Mapping[str, object] | None = None) -> None:
        found = [name for name in LIMITS if (limits or {}).get(name, getattr(self, name)) is not None]
        if len(found) > 1:
            raise ArgumentError("Only one of clipnorm, clipvalue and global_clipnorm can be set.", got=" and ".join(found))

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        """Refuse what does not go with the other settings."""
        if changed.fixed:
            raise ArgumentError(f"{changed.name} of {type(self).__name__} cannot change.", repair="make another optimizer")
        if changed.name == "learning_rate" and isinstance(self._setting_(), LearningRateSchedule) and not callable(value):
            raise ArgumentTypeError(
                "A schedule sets this optimizer's learning rate, so a number would be overruled or overrule it.",
                got=repr(value),
                repair="compile with a number as learning_rate, or assign another schedule",
            )
        if changed.name in LIMITS and value is not None:
            self._one_limit_({changed.name: value})

    def _unknown_argument_(self, name: str) -> ArgumentTypeError:
        error = super()._unknown_argument_(name)
        if name in _FORMER:
            error.repair = f"did you mean {_FORMER[name]}?"
        return error

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make an optimizer from what ``get_config`` returned.

        Args:
            config: the settings; those left out are as by default.
            custom_objects: the caller's own schedules by name.
        """
        with _custom_objects.scope(custom_objects):
            return cls(**config)

    def _setting_(self) -> Any:
        """Return the learning rate as it was set."""
        return _SETTING(self)

    def _rate_at_(self, batch: int) -> float:
        rate = self._setting_()
        if type(rate) is float:
            return rate
        value = rate(batch) if isinstance(rate, LearningRateSchedule) else rate()
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError("A schedule must return a number.", got=f"{shown(value)} for batch {batch}") from error
