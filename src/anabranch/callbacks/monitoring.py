"""Callbacks that keep what was best: EarlyStopping and ModelCheckpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Callback, Logs
from anabranch.callbacks.monitor import Monitor


class EarlyStopping(Callback):
    """End training when ``monitor`` has not improved for ``patience`` epochs (Prechelt 1998, *Early stopping - but when?*).

    Args:
        monitor: the entry of the logs to watch.
        min_delta: a smaller change is no improvement.
        patience: epochs without improvement that are borne.
        verbose: 1 says when training is ended and which weights are put back.
        mode: ``min``, ``max``, or ``auto``, by the metric's name.
        baseline: a value that must be beaten, or patience runs out.
        restore_best_weights: put the weights of the best epoch back when training ends, however it ends.
        start_from_epoch: epochs before watching begins.
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
        self._begin()

    def _begin(self) -> None:
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
        self._begin()
        self.watch.settle(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop where patience is at its end."""
        value = self.watch.read(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.watch.improves(value):
            self.watch.best = value
            self._keep(epoch)
            if self.baseline is None or self.watch.improves(value, self.baseline):
                self.wait = 0
            return
        if self.watch.best is None and self.best_weights is None:  # an epoch of NaN is kept where there is no other
            self._keep(epoch)
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back."""
        if self.verbose and self.stopped_epoch:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping, no better {self.monitor} since epoch {self.best_epoch + 1}")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                say(f"The weights are those of epoch {self.best_epoch + 1}, the best")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Callback):
    """Write the weights after each epoch (or each ``save_freq`` batches), all or only where ``monitor`` improved.

    A file is complete or absent. Whole models are not written yet: with either value of ``save_weights_only`` the file holds
    the weights, and its name says so.

    Args:
        filepath: a name ending in ``.safetensors``; it may hold ``epoch``, ``batch`` (where ``save_freq`` is a number) and any
            entry of the logs: ``"{epoch:02d}-{val_loss:.2f}.safetensors"``.
        monitor: the entry of the logs that ``save_best_only`` goes by.
        verbose: 1 says what is written.
        save_best_only: write only where ``monitor`` is better than ever; while it has never been measured, write always.
        save_weights_only: as in Keras; see above.
        mode: ``min``, ``max``, or ``auto``, by the metric's name.
        save_freq: ``epoch``, or a number of batches.
        initial_value_threshold: the value to beat at first.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        name = str(filepath)
        if Path(name).suffix != ".safetensors":
            raise ArgumentError(
                "Checkpoints are weights in a safetensors file.",
                expected="a name ending in .safetensors",
                got=repr(name),
                repair=f"filepath={_renamed(name)!r}",
            )
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ArgumentTypeError("save_freq is 'epoch' or a number of batches.", got=repr(save_freq))
        self.filepath, self.verbose = name, verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        self.watch = Monitor(monitor, mode, best=initial_value_threshold)
        self._epoch = 0
        self._batches = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]  # only then does it listen to batches

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out which way is better."""
        if self.save_best_only:
            self.watch.settle(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(logs or {}, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save where it is due."""
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs, **more: int) -> None:
        why = ""
        if self.save_best_only:
            value, best = self.watch.read(logs), self.watch.best
            if value is None and best is not None:
                return
            if value is not None:
                if not self.watch.improves(value):
                    return
                self.watch.best = value
                why = f", {self.watch.name} {value:.5g}" + (f" after {best:.5g}" if best is not None else "")
        path = self._path(logs, more)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save_weights(path)
        if self.verbose:
            say(f"Epoch {self._epoch + 1}: saved {path}{why}")

    def _path(self, logs: Logs, more: dict[str, int]) -> Path:
        known = {**logs, "epoch": self._epoch + 1, **more}
        try:
            return Path(self.filepath.format(**known))
        except KeyError as error:
            raise ArgumentError(
                f"The checkpoint's name asks for {error}, which is not measured.",
                expected=f"one of: {', '.join(sorted(known))}",
                got=self.filepath,
            ) from error


def _renamed(name: str) -> str:
    """Return the name with the ending that weights have here.

    >>> _renamed("best.weights.h5"), _renamed("runs/{epoch:02d}-{val_loss:.2f}.keras"), _renamed("runs/{val_loss:.2f}")
    ('best.safetensors', 'runs/{epoch:02d}-{val_loss:.2f}.safetensors', 'runs/{val_loss:.2f}.safetensors')
    """
    for ending in (".weights.h5", ".keras", ".h5", ".hdf5", ".ckpt", ".pt", ".pth"):
        name = name.removesuffix(ending)
    return f"{name}.safetensors"
