"""The base of callbacks: Keras's hooks, all of them empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anabranch._arguments import guarded
from anabranch._asked import parameters_of
from anabranch._docstrings import cleaned, described
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable, field
from anabranch._frames import bound_methods

Logs = dict[str, Any]
F = TypeVar("F", bound=Callable[..., None])

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end",
    "on_batch_begin", "on_batch_end",
)  # fmt: skip


def _hook(line: str) -> Callable[[F], F]:
    """Return a decorator that completes a hook's docstring: its arguments, and an example that prints ``line``."""

    def complete(hook: F) -> F:
        name, first = hook.__name__, [each for each in parameters_of(hook) if each not in ("self", "logs")]
        values = {**dict.fromkeys(first, 0), **({"logs": {"loss": 0.5}} if "logs" in line else {})}
        example = [
            ">>> class Announce(Callback):",
            f"...     def {name}(self, {', '.join([*first, 'logs=None'])}):",
            f'...         print(f"{line}")',
            f">>> Announce().{name}({', '.join(map(repr, values.values()))})",
            line.replace("['loss']", "[loss]").format(**values),
        ]
        hook.__doc__ = "\n    ".join([f"{cleaned(hook.__doc__ or '')}\n\nExample:", *example])
        of_run = "empty." if name.endswith("begin") else "loss and metrics so far, by name."
        return described({**dict.fromkeys(first, "its index, counted from 0."), "logs": of_run})(hook)

    return complete


@bound_methods
class Callback:
    """Base of callbacks: subclass and write the hooks you need; ``self.model`` and ``self.params`` are set before the first.

    At the end of a batch ``logs`` reads the device only when a callback reads it. At the end of an epoch all callbacks share
    one dict: what one adds, those after it and the history see.

    Example:
        >>> class Announce(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(f"epoch {epoch}: loss {logs['loss']}")
        >>> Announce().on_epoch_end(0, {"loss": 0.5})
        epoch 0: loss 0.5
    """

    model: Any = None
    params: dict[str, Any]

    def __init__(self) -> None:
        self.params = {}

    def set_model(self, model: Any) -> None:
        """Set ``self.model``.

        Args:
            model: the model that is trained.

        Example:
            >>> callback = Callback()
            >>> callback.set_model("a model")
            >>> callback.model
            'a model'
        """
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Set ``self.params``: ``epochs``, ``steps`` and ``verbose``.

        Args:
            params: the run's numbers by name.

        Example:
            >>> callback = Callback()
            >>> callback.set_params({"epochs": 2})
            >>> callback.params["epochs"]
            2
        """
        self.params = params

    def get_state(self) -> dict[str, Any]:
        """Return what ``BackupAndRestore`` saves of this callback: numbers, strings, arrays, and lists and dicts of them.

        Example:
            >>> class Count(Callback):
            ...     batches = 0
            ...     def on_train_batch_end(self, batch, logs=None):
            ...         self.batches += 1
            ...     def get_state(self):
            ...         return {"batches": self.batches}
            ...     def set_state(self, state):
            ...         self.batches = state["batches"]
            >>> Count().get_state()
            {'batches': 0}
        """
        return {}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned in the run that is resumed; called after ``on_train_begin``.

        Args:
            state: what ``get_state`` returned.

        Example:
            >>> Callback().set_state({})
        """

    @_hook("fit begins")
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` begins."""

    @_hook("fit ends")
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` ends, Ctrl-C included."""

    @_hook("epoch {epoch} begins")
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, counted from 0."""

    @_hook("epoch {epoch}: loss {logs['loss']}")
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation."""

    @_hook("step {batch} begins")
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training step."""
        self.on_batch_begin(batch, logs)

    @_hook("step {batch}: loss {logs['loss']}")
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training step."""
        self.on_batch_end(batch, logs)

    @_hook("step {batch} begins")
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_begin``."""

    @_hook("step {batch}: loss {logs['loss']}")
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_end``."""

    @_hook("evaluate begins")
    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate`` or a validation begins."""

    @_hook("loss {logs['loss']}")
    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate`` or a validation ends."""

    @_hook("test step {batch} begins")
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a test step."""

    @_hook("test step {batch}: loss {logs['loss']}")
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a test step."""

    @_hook("predict begins")
    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` begins."""

    @_hook("predict ends")
    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` ends."""

    @_hook("predict step {batch} begins")
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a predict step."""

    @_hook("predict step {batch} ends")
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a predict step.

        Args:
            logs: ``outputs``, those of the batch.
        """

    def on_close(self) -> None:
        """Called last, also after an error: release what is held, such as a terminal or a file.

        Example:
            >>> class Log(Callback):
            ...     def on_close(self):
            ...         print("closed")
            >>> Log().on_close()
            closed
        """


class Configured(Configurable, Callback):
    """Base of the callbacks that come with this package: their settings are fields, which may be set at any time."""

    def _check_(self) -> None:
        Callback.__init__(self)


def _verbosity(value: int | bool, owner: object, name: str) -> int:
    if not isinstance(value, int) or value < 0:
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be 0 or 1.", got=repr(value)[:120])
    return int(value)


def verbosity(doc: str) -> Any:
    """Declare the field ``verbose``."""
    return field(default=0, convert=_verbosity, doc=doc)
