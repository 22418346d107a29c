"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from anabranch import registry
from anabranch._arguments import guarded
from anabranch._asked import is_number
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Field, choice, field, integer, number, text
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Configured, Logs, verbosity
from anabranch.callbacks.monitor import Mode
from anabranch.callbacks.monitoring import Patient


def _callable(value: object, owner: object, name: str) -> Callable[..., float]:
    if isinstance(value, Mapping):
        value = registry.deserialize(value)
    if not callable(value):
        raise ArgumentTypeError("A schedule must be a function.", expected="schedule(epoch, learning_rate)", got=repr(value))
    return value  # type: ignore[no-any-return]  # its values are checked


class LearningRateScheduler(Configured):
    """Set the learning rate before each epoch; it joins the logs, and so the history, as ``learning_rate``.

    Example:
        >>> halved = LearningRateScheduler(lambda epoch, rate: rate / 2)
        >>> halved.schedule(0, 0.5)
        0.25
    """

    schedule: Field[Callable[..., float], Callable[..., float]] = field(
        convert=_callable, doc="``schedule(epoch, learning_rate)`` or ``schedule(epoch)``; epochs count from 0."
    )
    verbose: Field[int | bool, int] = verbosity("1 prints the rate of each epoch.")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate of the epoch."""
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, optimizer.learning_rate) if _takes_two(self.schedule) else self.schedule(epoch)
        if not is_number(rate):
            raise ArgumentTypeError("A schedule must return a number.", got=f"{rate!r} for epoch {epoch}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the learning rate to the logs."""
        _note(logs, self.model.optimizer.learning_rate)


class ReduceLROnPlateau(Patient):
    """Multiply the learning rate by ``factor`` where ``monitor`` has not improved for ``patience`` epochs.

    The rate joins the logs, and so the history, as ``learning_rate``.

    Example:
        >>> slower = ReduceLROnPlateau("loss", factor=0.5, patience=3)
        >>> slower.patience
        3
    """

    monitor: Field[str, str] = text(default="val_loss", doc="the entry of the logs to watch.")
    factor: Field[float, float] = number(default=0.1, least=0, below=1, doc="what the rate is multiplied by.")
    patience: Field[int, int] = integer(default=10, least=0, doc="epochs without improvement that are tolerated.")
    verbose: Field[int | bool, int] = verbosity("1 prints when the rate is lowered.")
    mode: Field[Mode, Mode] = choice("auto", "min", "max", default="auto", doc="'min', 'max', or 'auto', by the metric's name.")
    min_delta: Field[float, float] = number(default=1e-4, doc="a smaller change is no improvement.")
    cooldown: Field[int, int] = integer(default=0, least=0, doc="epochs after a lowering in which nothing is counted.")
    min_lr: Field[float, float] = number(default=0.0, least=0, doc="the rate is not lowered below this.")

    def _begin(self) -> None:
        super()._begin()
        self.cooldown_counter = 0

    def get_state(self) -> dict[str, Any]:
        """Return the best value, for how many epochs there was no better, and how many of the cooldown are left."""
        return {**super().get_state(), "cooldown_counter": self.cooldown_counter}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        super().set_state(state)
        self.cooldown_counter = state["cooldown_counter"]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and lower the rate where patience has run out."""
        _note(logs, self.model.optimizer.learning_rate)
        value = self.watch.read(logs)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.watch.improves(value):
            self.watch.best = value
            self.wait = 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience:
                self._lower(epoch)

    def _lower(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        if rate <= self.min_lr:
            return
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate:g}, no better {self.monitor}")


def _note(logs: Logs | None, rate: float) -> None:
    if isinstance(logs, dict):
        logs["learning_rate"] = rate


def _takes_two(schedule: Callable[..., float]) -> bool:
    """Return whether a schedule takes the current rate besides the epoch; a trial call would hide its own TypeErrors."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True
