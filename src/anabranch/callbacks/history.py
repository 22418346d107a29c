"""The record of epochs that ``fit`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch._arguments import guarded
from anabranch._frames import bound_methods
from anabranch.callbacks.callback import Callback, Logs


@bound_methods
class History(Callback):
    """Record each metric's values in ``history``, one per epoch, and the epochs' indices in ``epoch``.

    ``interrupted`` is whether Ctrl-C ended the fit.

    Example:
        >>> history = History()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.history
        {'loss': [0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.interrupted = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the epochs; a history given to several fits collects the values of all, as in Keras."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's values."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        """Return the epochs and their values."""
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}
