"""Progress: a live bar in terminals and notebooks, plain lines in a log, or silence."""

from __future__ import annotations

import sys
import time
from typing import Any

from anabranch._errors import ArgumentError
from anabranch.callbacks.callback import Callback, Logs

SILENT, BAR, LINES = 0, 1, 2


def resolve(verbose: Any) -> int:
    """Return 0, 1 or 2; ``auto`` is the bar where it can live, else lines."""
    if verbose == "auto":
        return BAR if _alive() else LINES
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ArgumentError("Unknown verbose.", expected="0, 1, 2 or 'auto'", got=repr(verbose))


def _alive() -> bool:
    return sys.stdout.isatty() or "ipykernel" in sys.modules


class ProgressBar(Callback):
    """Show epochs and steps with loss and metrics; the device is read a few times a second, not at every step."""

    refresh_seconds = 0.2

    def __init__(self, verbose: int = BAR) -> None:
        super().__init__()
        self.verbose = verbose
        self.live = verbose == BAR
        self._bar: Any = None
        self._task: Any = None
        self._title = ""
        self._started = 0.0
        self._read_at = 0.0
        self._fitting = False

    def report(self, line: str) -> None:
        """Show one line."""
        if self.verbose:
            print(line, flush=True)  # noqa: T201 - the one reporter

    # What the loop tells

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin."""
        self._fitting = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the epoch's bar."""
        self._begin(f"Epoch {epoch + 1}/{self.params.get('epochs')}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the epoch's line."""
        self._end(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End."""
        self._fitting = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``evaluate``; a validation is silent."""
        if not self._fitting:
            self._begin("Evaluate")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Leave the line of ``evaluate``."""
        if not self._fitting:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``predict``."""
        self._begin("Predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Leave the line of ``predict``."""
        self._end(None)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._move(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        if not self._fitting:
            self._move(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._move(batch, None)

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    # How it looks

    def _begin(self, title: str) -> None:
        self._title, self._started, self._read_at = title, time.perf_counter(), 0.0
        if not self.live:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.close()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"), transient=True, refresh_per_second=5,
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=self.params.get("steps"), values="")
        self._bar.start()

    def _move(self, batch: int, logs: Logs | None) -> None:
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._read_at < self.refresh_seconds:
            return
        self._read_at = now
        self._bar.update(self._task, completed=batch + 1, values=_values(logs))

    def _end(self, logs: Logs | None) -> None:
        self.close()
        seconds = time.perf_counter() - self._started
        steps = self.params.get("steps")
        each = f", {1000 * seconds / steps:.0f} ms a step" if steps else ""
        values = _values(logs)
        self.report(f"{self._title}  {seconds:.1f} s{each}{'  ' if values else ''}{values}")


def _values(logs: Logs | None) -> str:
    return "  ".join(f"{name}: {float(value):.4g}" for name, value in (logs or {}).items() if _is_number(value))


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and getattr(value, "size", 1) == 1
