"""Ctrl-C during fit: the step that runs is finished, then training ends; a second one raises at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """While entered, the first Ctrl-C is noted and ends training at the next safe place.

    While ``waiting`` for data it raises KeyboardInterrupt at once, for a source may block forever. In other threads than the
    main one, and where the user has a handler, nothing is installed.
    """

    def __init__(self) -> None:
        self.requested = False
        self.waiting = False
        self._before: Any = None

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
