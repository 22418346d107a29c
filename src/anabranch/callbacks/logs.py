"""Callbacks that write or call: CSVLogger, LambdaCallback, TerminateOnNaN."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from anabranch._errors import ArgumentError, unknown
from anabranch.callbacks.callback import HOOKS, Callback, Logs


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file; each is on the disk when its epoch ends."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._file: IO[str] | None = None
        self._keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        held = self.filename.exists() and self.filename.stat().st_size > 0
        if self.append and held:
            with self.filename.open(newline="") as file:
                header = next(csv.reader(file, delimiter=self.separator), None)
            self._keys = header[1:] if header else None
        self._file = self.filename.open("a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the row."""
        if self._file is None:
            raise ArgumentError("CSVLogger writes while fit runs.")
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._keys is None:
            self._keys = sorted(logs)
            writer.writerow(["epoch", *self._keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self._keys)])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._keys = None, None


class LambdaCallback(Callback):
    """Call plain functions at the hooks named: ``LambdaCallback(on_epoch_end=lambda epoch, logs: …)``."""

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        super().__init__()
        for name, function in hooks.items():
            if name not in HOOKS:
                raise unknown("hook", name, HOOKS)
            if function is not None:
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """End training when the loss is no finite number any more; the device is read after every batch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            self.model.stop_training = True
