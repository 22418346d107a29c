"""Progress: a bar in terminals, one output that changes in notebooks, lines in a log, or silence."""

from __future__ import annotations

import sys
import time
from typing import Any

from anabranch._asked import method
from anabranch._errors import ArgumentError
from anabranch._frames import bound_methods
from anabranch._notebooks import in_notebook
from anabranch.callbacks._say import say
from anabranch.callbacks.callback import Callback, Logs
from anabranch.callbacks.curves import is_number, number
from anabranch.callbacks.history import History
from anabranch.callbacks.screens import Lines, Notebook, Terminal
from anabranch.config import is_interactive_logging_enabled

SILENT, BAR, LINES = 0, 1, 2


def resolve(verbose: object) -> int:
    """Return 0 (silence), 1 (a bar) or 2 (a line per epoch); ``auto`` is the bar where it can live, else lines."""
    if isinstance(verbose, str) and verbose == "auto":
        return BAR if alive() else LINES
    if isinstance(verbose, int) and verbose in (SILENT, BAR, LINES):
        return int(verbose)
    raise ArgumentError("Unknown verbose.", expected="0, 1, 2 or 'auto'", got=repr(verbose))


def alive() -> bool:
    """Return whether what is shown can move: in a terminal, or in a notebook."""
    if not is_interactive_logging_enabled():
        return False
    tty = method(sys.stdout, "isatty")
    return bool(tty and tty()) or in_notebook()


@bound_methods
class ProgressBar(Callback):
    """Show epochs and steps with loss and metrics; the device is read a few times a second, not at every step.

    Args:
        verbose: 1 is a live bar, and one line per epoch that stays; in a notebook, one output with a bar, curves and a table;
            where nothing can move, such as in a log, only the lines. 2 is the lines, 0 is silence, ``auto`` chooses.

    Example:
        >>> ProgressBar(2).report("Epoch 1/3")
        Epoch 1/3
    """

    refresh_seconds = 0.2

    def __init__(self, verbose: int | str = BAR) -> None:
        super().__init__()
        self.verbose = resolve(verbose)
        self.live = self.verbose == BAR and alive()
        self.history: History | None = None
        self._screen: Lines | None = None
        self._title = ""
        self._started = 0.0
        self._read_at = 0.0
        self._fitting = False

    def report(self, line: str) -> None:
        """Show one line."""
        if self.verbose:
            say(line)

    # Hooks

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin."""
        self._fitting = True
        if self.live and in_notebook():
            self._screen = Notebook(self.history)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the epoch's bar."""
        self._begin(f"Epoch {epoch + 1}/{self.params.get('epochs', '?')}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the epoch's line."""
        self._end(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End."""
        self._fitting = False
        self._close()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``evaluate``; a validation belongs to its epoch's."""
        if not self._fitting:
            self._begin("Evaluate")
        elif self._screen is not None:
            self._screen.move(None, "validating")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Leave the line of ``evaluate``."""
        if not self._fitting:
            self._end(logs)
            self._close()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of ``predict``."""
        self._begin("Predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Leave the line of ``predict``."""
        self._end(None)
        self._close()

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

    def on_close(self) -> None:
        """Give the terminal back."""
        self._fitting = False
        self._close()

    # How it looks

    def _begin(self, title: str) -> None:
        self._title, self._started, self._read_at = title, time.perf_counter(), 0.0
        if self._screen is None and self.verbose:
            self._screen = Lines() if not self.live else Notebook() if in_notebook() else Terminal()
        if self._screen is not None:
            self._screen.begin(title, self.params.get("steps"))

    def _move(self, batch: int, logs: Logs | None) -> None:
        now = time.perf_counter()
        if self._screen is None or now - self._read_at < self.refresh_seconds:
            return
        self._read_at = now
        self._screen.move(batch + 1, "  ".join(filter(None, (pace(now - self._started, batch + 1), values_of(logs)))))

    def _end(self, logs: Logs | None) -> None:
        seconds = time.perf_counter() - self._started
        parts = (f"{seconds:.1f} s", pace(seconds, self.params.get("steps")), values_of(logs))
        if self._screen is not None:
            self._screen.end("  ".join(filter(None, (self._title, *parts))), seconds)

    def _close(self) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()


@bound_methods
class ProgbarLogger(ProgressBar):
    """Show progress as ``fit``'s own bar does, under Keras's name; ``verbose`` of ``fit`` says how.

    Example:
        >>> ProgbarLogger().report("Epoch 1/3")
        Epoch 1/3
    """

    def __init__(self) -> None:
        super().__init__(BAR)

    def set_params(self, params: dict[str, Any]) -> None:
        """Follow ``verbose`` of the run.

        Args:
            params: the run's numbers by name.
        """
        super().set_params(params)
        self.verbose = resolve(params.get("verbose", BAR))
        self.live = self.verbose == BAR and alive()


def pace(seconds: float, steps: int | None) -> str:
    """Return the time of one step.

    >>> pace(3.0, 100), pace(0.05, 100), pace(300.0, 100), pace(1.0, None)
    ('30 ms/step', '500 µs/step', '3.0 s/step', '')
    """
    if not steps:
        return ""
    each = seconds / steps
    for unit, scale, digits in (("s", 1, 1), ("ms", 1e3, 0)):
        if each * scale >= 1:
            return f"{each * scale:.{digits}f} {unit}/step"
    return f"{each * 1e6:.0f} µs/step"


def values_of(logs: Logs | None) -> str:
    """Return the numbers of the logs as text; what is no number is left out.

    >>> values_of({"loss": 0.123456, "acc": 1.0, "rate": 1e-5, "note": "x"})
    'loss: 0.1235  acc: 1.0000  rate: 1e-05'
    """
    return "  ".join(f"{name}: {number(float(value))}" for name, value in (logs or {}).items() if is_number(value))
