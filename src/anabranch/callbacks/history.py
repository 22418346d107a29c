"""The record of epochs that ``fit`` returns."""

from __future__ import annotations

from anabranch.callbacks.callback import Callback, Logs


class History(Callback):
    """``history``: each metric's values, one per epoch; ``epoch``: their numbers; ``interrupted``: whether Ctrl-C ended it."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.interrupted = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the epochs anew; a history given to several fits gathers the values of all, as in Keras."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's values."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
