"""The callback that ends training where nothing improves: EarlyStopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch._arguments import guarded
from anabranch._fields import Field, boolean, choice, integer, number, text
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Configured, Logs, verbosity
from anabranch.callbacks.monitor import Mode, Monitor


class Patient(Configured):
    """Base of callbacks that act where a value of the logs has not improved for a while. Abstract."""

    monitor: Field[str, str]
    min_delta: Field[float, float]
    mode: Field[Mode, Mode]

    def _check_(self) -> None:
        super()._check_()
        self._begin()

    def _begin(self) -> None:
        self.watch = Monitor(self.monitor, self.mode, self.min_delta)
        self.wait = 0

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier fits."""
        self._begin()
        self.watch.settle(self.model)

    def get_state(self) -> dict[str, Any]:
        """Return the best value, and for how many epochs there was no better."""
        return {"best": self.watch.best, "wait": self.wait}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        self.watch.best, self.wait = state["best"], state["wait"]


class EarlyStopping(Patient):
    """End training when ``monitor`` has not improved for ``patience`` epochs (Prechelt 1998, *Early stopping - but when?*).

    Example:
        >>> stopping = EarlyStopping("val_loss", patience=3, restore_best_weights=True)
        >>> stopping.patience
        3
    """

    monitor: Field[str, str] = text(default="val_loss", doc="the entry of the logs to watch.")
    min_delta: Field[float, float] = number(default=0, doc="a smaller change is no improvement.")
    patience: Field[int, int] = integer(default=0, least=0, doc="epochs without improvement that are tolerated.")
    verbose: Field[int | bool, int] = verbosity("1 prints when training is ended and which weights are restored.")
    mode: Field[Mode, Mode] = choice("auto", "min", "max", default="auto", doc="'min', 'max', or 'auto', by the metric's name.")
    baseline: Field[float | None, float | None] = number(
        default=None, optional=True, doc="a value that must be beaten, or patience runs out."
    )
    restore_best_weights: Field[bool, bool] = boolean(
        default=False, doc="whether the weights of the best epoch are restored when training ends, however it ends."
    )
    start_from_epoch: Field[int, int] = integer(default=0, least=0, doc="epochs before watching begins.")

    def _begin(self) -> None:
        super()._begin()
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def get_state(self) -> dict[str, Any]:
        """Return the best value, its epoch and its weights, and for how many epochs there was no better."""
        own = {name: getattr(self, name) for name in ("stopped_epoch", "best_epoch", "best_weights")}
        return {**super().get_state(), **own}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        super().set_state(state)
        self.stopped_epoch, self.best_epoch, self.best_weights = (
            state["stopped_epoch"], state["best_epoch"], state["best_weights"]
        )  # fmt: skip

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop where patience has run out."""
        value = self.watch.read(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.watch.improves(value):
            self.watch.best = value
            self._save_best(epoch)
            if self.baseline is None or self.watch.improves(value, self.baseline):
                self.wait = 0
            return
        if self.watch.best is None and self.best_weights is None:  # an epoch of NaN is the best where there is no other
            self._save_best(epoch)
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _save_best(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights."""
        if self.verbose and self.stopped_epoch:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping, no better {self.monitor} since epoch {self.best_epoch + 1}")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                say(f"The weights are those of epoch {self.best_epoch + 1}, the best")
            self.model.set_weights(self.best_weights)
