"""All callbacks of one run, called in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from anabranch import _tree
from anabranch._asked import is_from, shown
from anabranch._errors import ArgumentTypeError
from anabranch._frames import bound_methods
from anabranch.callbacks.backup import BackupAndRestore
from anabranch.callbacks.callback import HOOKS, Callback, Logs
from anabranch.callbacks.history import History
from anabranch.callbacks.progress import ProgressBar
from anabranch.callbacks.third_party import ThirdPartyCallback, has_hooks

_BATCH_HOOKS = tuple(name for name in HOOKS if name.startswith(("on_train_batch", "on_test_batch", "on_predict_batch")))
_OLD_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def _of_each(hook: str) -> Callable[..., None]:
    def call(self: CallbackList, logs: Logs | None = None) -> None:
        """Call the hook of each."""
        self._call(hook, logs=logs)

    return call


def _of_batch(hook: str) -> Callable[..., None]:
    def call(self: CallbackList, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of those that define it."""
        shared: Logs = {} if logs is None else logs
        hooks: list[Callable[..., None]] = self._batch_hooks[hook]
        for each in hooks:
            each(batch, shared)

    return call


@bound_methods
class CallbackList:
    """The user's callbacks, then the history, then the progress bar, so that the last two show what the first add to the logs.

    Args:
        callbacks: one callback, or any nest of them.
        model: the model they are set to.
        params: ``epochs``, ``steps``, ``verbose``.
        verbose: as of ``fit``; a ``ProgressBar`` among the callbacks takes its place.

    Example:
        >>> callbacks = CallbackList([History()])
        >>> callbacks.on_epoch_end(0, {"loss": 0.5})
        >>> callbacks.history.history
        {'loss': [0.5]}
    """

    def __init__(
        self, callbacks: object = None, model: Any = None, params: dict[str, Any] | None = None, verbose: int | str = 0
    ) -> None:
        if params is not None and not isinstance(params, dict):
            raise ArgumentTypeError("params of CallbackList must be a dict or None.", got=shown(params))
        found = [] if callbacks is None else _tree.leaves(callbacks)
        given = [each if isinstance(each, Callback) or not has_hooks(each) else ThirdPartyCallback(each) for each in found]
        for callback in given:
            if not isinstance(callback, Callback):
                hint = f"{callback.__name__}()" if isinstance(callback, type) else "subclass anabranch.callbacks.Callback"
                raise ArgumentTypeError("Expected a callback.", expected="a Callback", got=repr(callback), repair=hint)
        own = ProgressBar(verbose)  # made in any case, so that a wrong verbose is an error
        self.history: History = next((c for c in given if isinstance(c, History)), History())
        self.progress: ProgressBar = next((c for c in given if isinstance(c, ProgressBar)), own)
        self.progress.history = self.history
        users = [c for c in given if c is not self.history and c is not self.progress]
        self.callbacks: list[Callback] = [*users, self.history, self.progress]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params or {})
        # A step calls only those that define it.
        self._batch_hooks = {
            hook: [getattr(c, hook) for c in self.callbacks if _defines(c, hook)] for hook in _BATCH_HOOKS
        }  # fmt: skip

    @property
    def wants_batch_logs(self) -> bool:
        """Whether any of them has a batch hook; else the loop makes no logs for batches."""
        return any(self._batch_hooks.values())

    @property
    def backups(self) -> list[BackupAndRestore]:
        """Those that save the run itself."""
        return [callback for callback in self.callbacks if isinstance(callback, BackupAndRestore)]

    @property
    def hand_over(self) -> bool:
        """Whether any of them is, or calls, code of the user's."""
        return any(not is_from(callback, "anabranch") or any(map(_is_users, _held(callback))) for callback in self.callbacks)

    def report(self, line: str) -> None:
        """Show one line to the user, if anything is shown."""
        self.progress.report(line)

    def close(self) -> None:
        """Let each give back what it holds, even where another fails to."""
        with contextlib.ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(callback.on_close)

    def _call(self, hook: str, *where: int, logs: Logs | None) -> None:
        shared = dict(logs or {})
        for callback in self.callbacks:
            getattr(callback, hook)(*where, shared)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of each."""
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of each."""
        self._call("on_epoch_end", epoch, logs=logs)

    on_train_begin, on_train_end = _of_each("on_train_begin"), _of_each("on_train_end")
    on_test_begin, on_test_end = _of_each("on_test_begin"), _of_each("on_test_end")
    on_predict_begin, on_predict_end = _of_each("on_predict_begin"), _of_each("on_predict_end")
    on_train_batch_begin, on_train_batch_end = _of_batch("on_train_batch_begin"), _of_batch("on_train_batch_end")
    on_test_batch_begin, on_test_batch_end = _of_batch("on_test_batch_begin"), _of_batch("on_test_batch_end")
    on_predict_batch_begin, on_predict_batch_end = _of_batch("on_predict_batch_begin"), _of_batch("on_predict_batch_end")


def _defines(callback: Callback, hook: str) -> bool:
    if isinstance(callback, ProgressBar) and not callback.live:
        return False
    names = (hook, _OLD_NAMES.get(hook, hook))
    return any(getattr(type(callback), n) is not getattr(Callback, n) or n in vars(callback) for n in names)


def _held(callback: Callback) -> list[object]:
    return [value for name, value in vars(callback).items() if name != "model"]


def _is_users(thing: object) -> bool:
    return callable(thing) and not is_from(thing, "anabranch")
