"""The callback that saves the model or its weights while it trains: ModelCheckpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from anabranch._arguments import guarded
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._fields import Field, boolean, choice, field, integer, number, text
from anabranch._files import reached
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Configured, Logs, verbosity
from anabranch.callbacks.monitor import Mode, Monitor

_MODEL, _WEIGHTS = ".keras", (".weights.h5", ".safetensors")


def _filepath(value: object, owner: object, name: str) -> str:
    found = str(value)
    if not found.endswith((_MODEL, *_WEIGHTS)):
        raise ArgumentError(
            "A checkpoint's name says what is saved, and how.",
            expected="a name ending in .keras (the model), .weights.h5 or .safetensors (its weights)",
            got=repr(found),
            repair=f"filepath={_renamed(found)!r}",
        )
    return found


def frequency(value: object, owner: object, name: str) -> int | Literal["epoch"]:
    """Return a valid ``save_freq``."""
    if value != "epoch" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentTypeError("save_freq must be 'epoch' or a number of batches.", got=repr(value))
    return value  # type: ignore[no-any-return]  # checked above


class ModelCheckpoint(Configured):
    """Save the model or its weights after each epoch (or each ``save_freq`` batches), all or only where ``monitor`` improved.

    The ending of ``filepath`` says what is saved: ``.keras`` the model with its optimizer's state, ``.weights.h5`` and
    ``.safetensors`` the weights. A file is complete or absent.

    Example:
        >>> checkpoint = ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.keras", save_best_only=True)
        >>> checkpoint.monitor
        'val_loss'
    """

    filepath: Field[str | Path, str] = field(
        convert=_filepath,
        doc="a name ending in ``.keras``, ``.weights.h5`` or ``.safetensors``; it may hold ``epoch``, ``batch`` (where "
        '``save_freq`` is a number) and any entry of the logs: ``"{epoch:02d}-{val_loss:.2f}.keras"``.',
    )
    monitor: Field[str, str] = text(default="val_loss", doc="the entry of the logs that ``save_best_only`` goes by.")
    verbose: Field[int | bool, int] = verbosity("1 prints what is written.")
    save_best_only: Field[bool, bool] = boolean(
        default=False, doc="write only where ``monitor`` is better than ever; while it has never been measured, write always."
    )
    save_weights_only: Field[bool, bool] = boolean(
        default=False, doc="as in Keras; the name must then end as that of a file of weights does."
    )
    mode: Field[Mode, Mode] = choice("auto", "min", "max", default="auto", doc="'min', 'max', or 'auto', by the metric's name.")
    save_freq: Field[int | Literal["epoch"], int | Literal["epoch"]] = field(
        default="epoch", convert=frequency, doc="'epoch', or a number of batches."
    )
    initial_value_threshold: Field[float | None, float | None] = number(
        default=None, optional=True, doc="the value to beat at first."
    )
    max_to_keep: Field[int | None, int | None] = integer(
        default=None, optional=True, least=1, kw_only=True,
        doc="how many of the files that it wrote are left on the disk, the latest; None: all.",
    )  # fmt: skip

    def _check_(self) -> None:
        super()._check_()
        if self.save_weights_only and self.filepath.endswith(_MODEL):
            raise ArgumentError(
                "A .keras file holds the whole model, not its weights alone.",
                expected="a name ending in .weights.h5 or .safetensors",
                got=f"save_weights_only=True, filepath={self.filepath!r}",
                repair=f"filepath={self.filepath.removesuffix(_MODEL) + _WEIGHTS[0]!r}",
            )
        self.watch = Monitor(self.monitor, self.mode, best=self.initial_value_threshold)
        self._epoch = 0
        self._batches = 0
        self._saved: list[str] = []
        if self.save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]  # only then is it called for batches

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.watch.best

    def get_state(self) -> dict[str, Any]:
        """Return the best value, the count of batches, and the files that were written."""
        return {"best": self.watch.best, "batches": self._batches, "written": list(self._saved)}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        self.watch.best, self._batches, self._saved = state["best"], state["batches"], list(state["written"])

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
        if path.name.endswith(_MODEL):
            self.model.save(path)
        else:
            self.model.save_weights(path)
        self._drop_older(str(path))
        if self.verbose:
            say(f"Epoch {self._epoch + 1}: saved {path}{why}")

    def _drop_older(self, newest: str) -> None:
        """Delete what ``max_to_keep`` leaves out, now that the newest file is whole."""
        if self.max_to_keep is None:
            return
        self._saved = [*(path for path in self._saved if path != newest), newest]
        while len(self._saved) > self.max_to_keep:
            path = self._saved.pop(0)
            with reached("delete", path), contextlib.suppress(FileNotFoundError):
                Path(path).unlink()

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
    """Return the name with an ending that says what is saved.

    >>> _renamed("best.h5"), _renamed("runs/{epoch:02d}-{val_loss:.2f}.ckpt"), _renamed("runs/{val_loss:.2f}")
    ('best.keras', 'runs/{epoch:02d}-{val_loss:.2f}.keras', 'runs/{val_loss:.2f}.keras')
    """
    for ending in (".h5", ".hdf5", ".ckpt", ".pt", ".pth", ".tf"):
        name = name.removesuffix(ending)
    return f"{name}{_MODEL}"
