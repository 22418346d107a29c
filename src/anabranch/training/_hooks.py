"""Telling callbacks of batches: of each, or of so many at a time as ``steps_per_execution`` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class BatchHooks:
    """Tells listeners where a group of steps begins and ends; asks for logs only where somebody listens."""

    def __init__(self, listeners: Any, kind: str, size: int, logs: Callable[[], Any]) -> None:
        self._size = size
        self._begin = getattr(listeners, f"on_{kind}_batch_begin") if listeners.wants_batch_logs else None
        self._end = getattr(listeners, f"on_{kind}_batch_end")
        self._logs = logs

    def before(self, done: int) -> None:
        """Hear that a step comes after ``done`` others."""
        if self._begin is not None and done % self._size == 0:
            self._begin(done)

    def after(self, done: int) -> bool:
        """Hear that ``done`` steps are taken, and return whether callbacks could have their say."""
        if done % self._size:
            return False
        self._tell(done)
        return True

    def finish(self, done: int) -> None:
        """Hear that no step comes any more: the last group may be smaller."""
        if done % self._size:
            self._tell(done)

    def _tell(self, done: int) -> None:
        if self._begin is not None:
            self._end(done - 1, self._logs())
