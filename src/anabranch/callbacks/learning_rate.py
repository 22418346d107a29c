"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Callback, Logs
from anabranch.callbacks.monitor import Monitor


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to ``schedule(epoch, learning_rate)``; epochs count from 0.

    ``schedule(epoch)`` is accepted too. The rate joins the logs, and so the history, as ``learning_rate``.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise ArgumentTypeError("A schedule is a function.", expected="schedule(epoch, learning_rate)", got=repr(schedule))
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, optimizer.learning_rate) if _takes_two(self.schedule) else self.schedule(epoch)
        if isinstance(rate, bool) or not hasattr(rate, "__float__"):
            raise ArgumentTypeError("A schedule returns a number.", got=f"{rate!r} for epoch {epoch}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the learning rate."""
        _note(logs, self.model.optimizer.learning_rate)


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by ``factor`` where ``monitor`` has not improved for ``patience`` epochs.

    Args:
        monitor: the entry of the logs to watch.
        factor: below 1.
        patience: epochs without improvement that are borne.
        verbose: 1 says when the rate is lowered.
        mode: ``min``, ``max``, or ``auto``, by the metric's name.
        min_delta: a smaller change is no improvement.
        cooldown: epochs after a lowering in which nothing is counted.
        min_lr: the rate is not lowered below this.

    The rate joins the logs, and so the history, as ``learning_rate``.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= factor < 1:
            raise ArgumentError("factor shrinks the learning rate.", expected="at least 0 and below 1", got=repr(factor))
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.mode, self.min_delta, self.cooldown, self.min_lr = mode, min_delta, cooldown, min_lr
        self._begin()

    def _begin(self) -> None:
        self.watch = Monitor(self.monitor, self.mode, self.min_delta)
        self.wait = 0
        self.cooldown_counter = 0

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self._begin()
        self.watch.settle(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and shrink where patience is at its end."""
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
    """Return whether a schedule takes the present rate beside the epoch; a trial call would hide its own TypeErrors."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True
