"""All callbacks of one run, called in order."""

from __future__ import annotations

from typing import Any

from anabranch._errors import ArgumentTypeError
from anabranch.callbacks.callback import HOOKS, Callback, Logs
from anabranch.callbacks.history import History
from anabranch.callbacks.progress import ProgressBar, resolve

_BATCH_HOOKS = tuple(name for name in HOOKS if "batch" in name)


class CallbackList:
    """The user's callbacks, between the progress bar and the history."""

    def __init__(
        self, callbacks: Any, model: Any, params: dict[str, Any] | None = None, verbose: int | str = 0, **ignored: Any
    ) -> None:
        given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [] if callbacks is None else [callbacks]
        for callback in given:
            if not isinstance(callback, Callback):
                hint = f"{callback.__name__}()" if isinstance(callback, type) else "subclass anabranch.callbacks.Callback"
                raise ArgumentTypeError("That is no callback.", expected="a Callback", got=repr(callback), repair=hint)
        self.history = next((c for c in given if isinstance(c, History)), None) or History()
        bar = next((c for c in given if isinstance(c, ProgressBar)), None)
        self.progress = bar if bar is not None else ProgressBar(resolve(verbose))
        self.callbacks: list[Callback] = [c for c in given if c not in (self.history, bar)]
        self.callbacks = [self.history, *self.callbacks, self.progress]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params or {})

    @property
    def wants_batch_logs(self) -> bool:
        """Whether any of them listens to batches; the loop makes no logs for nobody."""
        return any(_listens(callback) for callback in self.callbacks)

    def report(self, line: str) -> None:
        """Show one line to the user, if anything is shown."""
        self.progress.report(line)

    def close(self) -> None:
        """Let each give back what it holds."""
        for callback in self.callbacks:
            callback.close()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_test_end(logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_predict_begin(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_predict_end(logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_predict_batch_begin(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call every one's hook."""
        for callback in self.callbacks:
            callback.on_predict_batch_end(batch, logs)


def _listens(callback: Callback) -> bool:
    if isinstance(callback, ProgressBar):
        return callback.live
    return any(getattr(type(callback), name) is not getattr(Callback, name) or name in vars(callback) for name in _BATCH_HOOKS)
