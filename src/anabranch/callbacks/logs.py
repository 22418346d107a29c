"""Callbacks that write or call: CSVLogger, LambdaCallback, TerminateOnNaN."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from anabranch._arguments import check_takes, guarded
from anabranch._asked import parameters_of, shown, unwrapped
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, unknown
from anabranch._fields import Field, boolean, field
from anabranch._files import reached
from anabranch._frames import bound_methods
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import HOOKS, Callback, Configured, Logs


def _path(value: Any, owner: object, name: str) -> Path:
    try:
        return Path(value)
    except TypeError as error:
        raise ArgumentTypeError(f"{name} must be a path.", got=repr(value)[:120]) from error


def _separator(value: object, owner: object, name: str) -> str:
    if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0":
        raise ArgumentError(f"{name} must be one character.", expected="',', ';' or '\\t'", got=shown(value))
    return value


class CSVLogger(Configured):
    """Write one row per epoch to a CSV file; each is on the disk when its epoch ends.

    Columns are ``epoch`` and the first epoch's logs by name; where it had no validation, each also as ``val_…``, so that a
    later validation has its columns. A missing value is ``NA``. With ``append`` a file's own header is followed.

    Example:
        >>> CSVLogger("training.csv").sep
        ','
    """

    filename: Field[str | Path, Path] = field(convert=_path, plain=str, doc="the file, in a folder that exists.")
    separator: Field[str, str] = field(default=",", convert=_separator, doc="the character that separates columns.")
    append: Field[bool, bool] = boolean(default=False, doc="whether rows are added to a file that exists.")

    def _check_(self) -> None:
        super()._check_()
        self._file: IO[str] | None = None
        self._keys: list[str] | None = None

    @property
    def sep(self) -> str:
        """The separator, under Keras's name."""
        return self.separator

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.on_close()
        if not self.filename.parent.is_dir():
            raise ArgumentError(
                f"CSVLogger cannot write {str(self.filename)!r}: its folder does not exist.",
                repair=f"os.makedirs({str(self.filename.parent)!r})",
            )
        with reached("write", self.filename):
            if self.append and self.filename.is_file():
                with self.filename.open(newline="") as file:
                    header = next(csv.reader(file, delimiter=self.sep), None)
                self._keys = header[1:] if header else None
            self._file = self.filename.open("a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the row."""
        if self._file is None:
            raise NotReadyError("CSVLogger writes only while fit runs.", repair="pass it as callbacks=[…]")
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.sep)
        if self._keys is None:
            self._keys = sorted(logs)
            if not any(key.startswith("val_") for key in self._keys):
                self._keys += [f"val_{key}" for key in self._keys]
            writer.writerow(["epoch", *self._keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self._keys)])
        with reached("write", self.filename):
            self._file.flush()

    def get_state(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {} if self._file is None else {"text": self.filename.read_text(), "keys": self._keys}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Write what the file held.

        Args:
            state: what ``get_state`` returned.
        """
        if self._file is None or "text" not in state:
            return
        with reached("write", self.filename):
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(state["text"])
            self._file.flush()
        self._keys = state["keys"]

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self.on_close()

    def on_close(self) -> None:
        """Close the file, also where training failed."""
        file, self._file, self._keys = self._file, None, None
        if file is not None:
            with reached("write", self.filename):
                file.close()


@bound_methods
class LambdaCallback(Callback):
    """Call plain functions at hooks.

    Args:
        on_epoch_begin: ``f(epoch, logs)``, called before an epoch.
        on_epoch_end: ``f(epoch, logs)``, called after an epoch.
        on_train_begin: ``f(logs)``, called when ``fit`` begins.
        on_train_end: ``f(logs)``, called when ``fit`` ends.
        on_train_batch_begin: ``f(batch, logs)``, called before a training step.
        on_train_batch_end: ``f(batch, logs)``, called after a training step.
        **kwargs: functions of further hooks, by the hooks' names.

    Example:
        >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)).on_epoch_end(0, {"loss": 0.5})
        0 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        named = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin, "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin, "on_train_batch_end": on_train_batch_end,
        }  # fmt: skip
        for name, function in {**named, **kwargs}.items():
            if name not in HOOKS:
                raise unknown("hook", name, HOOKS)
            if function is not None and not callable(function):
                raise ArgumentTypeError(f"{name} of LambdaCallback must be a function or None.", got=shown(function))
            if function is not None:
                check_takes(function, parameters_of(unwrapped(getattr(Callback, name)))[1:], (), f"{name} of LambdaCallback")
                setattr(self, name, function)


class TerminateOnNaN(Configured):
    """End training when the loss is no longer finite; the device is read after every batch.

    Example:
        >>> TerminateOnNaN(raise_error=True).raise_error
        True
    """

    raise_error: Field[bool, bool] = boolean(
        default=False, doc="whether a RuntimeError is raised instead; no ``on_train_end`` is called then."
    )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Check the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        if self.raise_error:
            raise RuntimeError(f"The loss is {float(loss)} at step {batch + 1}.")
        say(f"Step {batch + 1}: the loss is {float(loss)}, training ends")
        self.model.stop_training = True
