"""Callbacks that change the learning rate."""

from __future__ import annotations

from collections.abc import Callable

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.callbacks.callback import Callback, Logs
from anabranch.callbacks.monitoring import Monitor


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to ``schedule(epoch, learning_rate)``."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        before = self.model.optimizer.learning_rate
        try:
            rate = self.schedule(epoch, before)
        except TypeError:  # Keras 1's form
            rate = self.schedule(epoch)
        if isinstance(rate, bool) or (not isinstance(rate, (int, float)) and not hasattr(rate, "__float__")):
            raise ArgumentTypeError("A schedule returns a number.", got=repr(rate))
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {float(rate):g}")  # noqa: T201 - what verbose asks for


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by ``factor``, down to ``min_lr``, when ``monitor`` has not improved for ``patience``."""

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
        if factor >= 1:
            raise ArgumentError("factor shrinks the learning rate.", expected="below 1", got=repr(factor))
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.mode, self.min_delta, self.cooldown, self.min_lr = mode, min_delta, cooldown, min_lr
        self._begin()

    def _begin(self) -> None:
        self.watch = Monitor(self.monitor, self.mode, self.min_delta)
        self.wait = 0
        self.cooling = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and shrink where patience is at its end."""
        value = self.watch.read(logs)
        if self.cooling:
            self.cooling -= 1
            self.wait = 0
        if self.watch.improves(value):
            self.watch.best = value
            self.wait = 0
            return
        if self.cooling:
            return
        self.wait += 1
        rate = self.model.optimizer.learning_rate
        if self.wait >= self.patience and rate > self.min_lr:
            self.model.optimizer.learning_rate = max(rate * self.factor, self.min_lr)
            self.cooling, self.wait = self.cooldown, 0
            if self.verbose:
                print(f"Epoch {epoch + 1}: learning rate {self.model.optimizer.learning_rate:g}")  # noqa: T201 - verbose
