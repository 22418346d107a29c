"""Callbacks that watch one value: EarlyStopping and ModelCheckpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from anabranch._errors import ArgumentError, ArgumentTypeError, nearest
from anabranch.callbacks.callback import Callback, Logs


class Monitor:
    """The best value so far of one entry of the logs.

    ``mode``: ``min``, ``max``, or ``auto``, which takes ``max`` for what grows as a model gets better, such as accuracy.
    """

    def __init__(self, name: str, mode: str, min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in ("auto", "min", "max"):
            raise ArgumentError("Unknown mode.", expected="'auto', 'min' or 'max'", got=repr(mode))
        self.name = name
        self.grows = mode == "max" or (mode == "auto" and _is_a_gain(name))
        self.min_delta = abs(min_delta)
        self.best = best

    def read(self, logs: Logs | None) -> float:
        """Return the value of this epoch, or say what can be watched instead."""
        logs = logs or {}
        if self.name in logs:
            return float(logs[self.name])
        close = nearest(self.name, logs)
        raise ArgumentError(
            f"Nothing called {self.name!r} is measured.",
            expected=f"one of: {', '.join(logs)}",
            repair=f"did you mean {close!r}?" if close else "val_… needs validation_data or validation_split",
        )

    def improves(self, value: float, than: float | None = None) -> bool:
        """Return whether ``value`` is better than the best so far (or than ``than``) by more than ``min_delta``."""
        best = self.best if than is None else than
        if best is None:
            return not math.isnan(value)
        return value - self.min_delta > best if self.grows else value + self.min_delta < best


def _is_a_gain(name: str) -> bool:
    base = name.removeprefix("val_")
    return any(word in base for word in ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2"))


class EarlyStopping(Callback):
    """End training when ``monitor`` has not improved by ``min_delta`` for ``patience`` epochs (Prechelt 1998).

    ``restore_best_weights`` puts the weights of the best epoch back when training ends; ``start_from_epoch`` waits so many
    epochs before watching; ``baseline`` is a value that must be beaten.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.monitor, self.min_delta, self.patience, self.verbose, self.mode = monitor, min_delta, patience, verbose, mode
        self.baseline, self.restore_best_weights, self.start_from_epoch = baseline, restore_best_weights, start_from_epoch
        self.watch = Monitor(monitor, mode, min_delta)
        self._forget()

    def _forget(self) -> None:
        self.watch = Monitor(self.monitor, self.mode, self.min_delta)
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop where patience is at its end."""
        value = self.watch.read(logs)
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        if self.watch.improves(value):
            self.watch.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.watch.improves(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back."""
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")  # noqa: T201 - what verbose asks for
        if self.restore_best_weights and self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Callback):
    """Write the weights after each epoch (or each ``save_freq`` batches), all or only when ``monitor`` improved.

    ``filepath`` ends in ``.safetensors`` and may name the epoch and any log: ``"{epoch:02d}-{val_loss:.2f}.safetensors"``.
    A file is complete or absent.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = True,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        if not save_weights_only:
            raise ArgumentError("Whole models cannot be checkpointed yet.", repair="save_weights_only=True")
        if Path(filepath).suffix != ".safetensors":
            raise ArgumentError("Checkpoints are safetensors.", expected="a name ending in .safetensors", got=str(filepath))
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ArgumentTypeError("save_freq is 'epoch' or a number of batches.", got=repr(save_freq))
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_freq = save_best_only, save_freq
        self.watch = Monitor(monitor, mode, best=initial_value_threshold)
        self._epoch = 0
        self._batches = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]  # only then does it listen to batches

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save where it is due."""
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            value = self.watch.read(logs)
            if not self.watch.improves(value):
                return
            self.watch.best = value
        try:
            path = Path(self.filepath.format(epoch=self._epoch + 1, **logs))
        except KeyError as error:
            raise ArgumentError(
                f"The file name asks for {error}, which is not measured.",
                expected=f"epoch, {', '.join(logs)}",
                got=self.filepath,
            ) from error
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save_weights(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved weights to {path}")  # noqa: T201 - what verbose asks for
