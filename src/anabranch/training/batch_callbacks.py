"""Calls of callbacks' batch hooks: after each batch, or after ``steps_per_execution`` batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.callbacks import CallbackList


class BatchCallbacks:
    """Calls callbacks where a group of steps begins and ends; makes logs only where a callback takes them."""

    def __init__(self, callbacks: CallbackList, kind: str, size: int, logs: Callable[[], Any]) -> None:
        self._size = size
        self._begin = getattr(callbacks, f"on_{kind}_batch_begin") if callbacks.wants_batch_logs else None
        self._end = getattr(callbacks, f"on_{kind}_batch_end")
        self._logs = logs

    def before(self, done: int) -> None:
        """Call ``on_…_batch_begin`` where step number ``done``, counted from 0, begins a group."""
        if self._begin is not None and done % self._size == 0:
            self._begin(done)

    def after(self, done: int) -> bool:
        """Call ``on_…_batch_end`` where ``done`` steps end a group, and return whether they do."""
        if done % self._size:
            return False
        self._call_end(done)
        return True

    def finish(self, done: int) -> None:
        """Call ``on_…_batch_end`` for the last group, which may be smaller."""
        if done % self._size:
            self._call_end(done)

    def _call_end(self, done: int) -> None:
        if self._begin is not None:
            self._end(done - 1, self._logs())
