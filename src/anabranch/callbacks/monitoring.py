"""Callbacks that watch for the best epoch: EarlyStopping and ModelCheckpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Field, boolean, choice, field, integer, number, text
from anabranch._files import reached
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Configured, Logs, verbosity
from anabranch.callbacks.monitor import Mode, Monitor


class Patient(Configured):
    """Base of callbacks that act where a value of the logs has not improved for a while. Abstract."""

    monitor: Field[str, str]
    min_delta: Field[float, float]
    mode: Field[Mode, Mode]

    def _check(self) -> None:
        super()._check()
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


def _filepath(value: object, owner: object, name: str) -> str:
    found = str(value)
    if Path(found).suffix != ".safetensors":
        raise ArgumentError(
            "Checkpoints are weights in a safetensors file.",
            expected="a name ending in .safetensors",
            got=repr(found),
            repair=f"filepath={_renamed(found)!r}",
        )
    return found


def _frequency(value: object, owner: object, name: str) -> int | Literal["epoch"]:
    if value != "epoch" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentTypeError("save_freq must be 'epoch' or a number of batches.", got=repr(value))
    return value  # type: ignore[no-any-return]  # checked above


class ModelCheckpoint(Configured):
    """Write the weights after each epoch (or each ``save_freq`` batches), all or only where ``monitor`` improved.

    A file is complete or absent. Whole models are not written yet: with either value of ``save_weights_only`` the file holds
    the weights, and its name says so.

    Example:
        >>> checkpoint = ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.safetensors", save_best_only=True)
        >>> checkpoint.monitor
        'val_loss'
    """

    filepath: Field[str | Path, str] = field(
        convert=_filepath,
        doc="a name ending in ``.safetensors``; it may hold ``epoch``, ``batch`` (where ``save_freq`` is a number) and any "
        'entry of the logs: ``"{epoch:02d}-{val_loss:.2f}.safetensors"``.',
    )
    monitor: Field[str, str] = text(default="val_loss", doc="the entry of the logs that ``save_best_only`` goes by.")
    verbose: Field[int | bool, int] = verbosity("1 prints what is written.")
    save_best_only: Field[bool, bool] = boolean(
        default=False, doc="write only where ``monitor`` is better than ever; while it has never been measured, write always."
    )
    save_weights_only: Field[bool, bool] = boolean(default=False, doc="as in Keras; see above.")
    mode: Field[Mode, Mode] = choice("auto", "min", "max", default="auto", doc="'min', 'max', or 'auto', by the metric's name.")
    save_freq: Field[int | Literal["epoch"], int | Literal["epoch"]] = field(
        default="epoch", convert=_frequency, doc="'epoch', or a number of batches."
    )
    initial_value_threshold: Field[float | None, float | None] = number(
        default=None, optional=True, doc="the value to beat at first."
    )

    def _check(self) -> None:
        super()._check()
        self.watch = Monitor(self.monitor, self.mode, best=self.initial_value_threshold)
        self._epoch = 0
        self._batches = 0
        if self.save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]  # only then is it called for batches

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Determine which direction is better."""
        self.watch.name = self.monitor
        if self.save_best_only:
            self.watch.settle(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
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
        with reached("write", path):
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
