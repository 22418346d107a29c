"""Ctrl-C during fit: the current step is finished, then training ends; a second Ctrl-C raises at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self


class Interruption:
    """While entered, the first Ctrl-C ends training after the current step.

    While ``waiting`` for data it raises KeyboardInterrupt at once, as a source may block forever. No handler is installed in
    threads other than the main one, or where the user has installed one.
    """

    def __init__(self) -> None:
        self.requested = False
        self.waiting = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if again or self.waiting:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed; called between steps."""
        if self.requested:
            raise KeyboardInterrupt
