"""The base of callbacks: Keras's hooks, all of them empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable, field

Logs = Mapping[str, Any]

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end",
    "on_batch_begin", "on_batch_end",
)  # fmt: skip


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

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` begins.

        Args:
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_train_begin(self, logs=None):
            ...         print(f"fit begins")
            >>> Announce().on_train_begin()
            fit begins
        """

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when ``fit`` ends, Ctrl-C included.

        Args:
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_train_end(self, logs=None):
            ...         print(f"fit ends")
            >>> Announce().on_train_end()
            fit ends
        """

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, counted from 0.

        Args:
            epoch: its index, counted from 0.
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_epoch_begin(self, epoch, logs=None):
            ...         print(f"epoch {epoch} begins")
            >>> Announce().on_epoch_begin(0)
            epoch 0 begins
        """

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation.

        Args:
            epoch: its index, counted from 0.
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_epoch_end(self, epoch, logs=None):
            ...         print(f"epoch {epoch}: loss {logs['loss']}")
            >>> Announce().on_epoch_end(0, {"loss": 0.5})
            epoch 0: loss 0.5
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training step.

        Args:
            batch: its index, counted from 0.
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_train_batch_begin(self, batch, logs=None):
            ...         print(f"step {batch} begins")
            >>> Announce().on_train_batch_begin(0)
            step 0 begins
        """
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training step.

        Args:
            batch: its index, counted from 0.
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_train_batch_end(self, batch, logs=None):
            ...         print(f"step {batch}: loss {logs['loss']}")
            >>> Announce().on_train_batch_end(0, {"loss": 0.5})
            step 0: loss 0.5
        """
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_begin``.

        Args:
            batch: its index, counted from 0.
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_batch_begin(self, batch, logs=None):
            ...         print(f"step {batch} begins")
            >>> Announce().on_batch_begin(0)
            step 0 begins
        """

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of ``on_train_batch_end``.

        Args:
            batch: its index, counted from 0.
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_batch_end(self, batch, logs=None):
            ...         print(f"step {batch}: loss {logs['loss']}")
            >>> Announce().on_batch_end(0, {"loss": 0.5})
            step 0: loss 0.5
        """

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate`` or a validation begins.

        Args:
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_test_begin(self, logs=None):
            ...         print(f"evaluate begins")
            >>> Announce().on_test_begin()
            evaluate begins
        """

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate`` or a validation ends.

        Args:
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_test_end(self, logs=None):
            ...         print(f"loss {logs['loss']}")
            >>> Announce().on_test_end({"loss": 0.5})
            loss 0.5
        """

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a test step.

        Args:
            batch: its index, counted from 0.
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_test_batch_begin(self, batch, logs=None):
            ...         print(f"test step {batch} begins")
            >>> Announce().on_test_batch_begin(0)
            test step 0 begins
        """

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a test step.

        Args:
            batch: its index, counted from 0.
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_test_batch_end(self, batch, logs=None):
            ...         print(f"test step {batch}: loss {logs['loss']}")
            >>> Announce().on_test_batch_end(0, {"loss": 0.5})
            test step 0: loss 0.5
        """

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` begins.

        Args:
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_predict_begin(self, logs=None):
            ...         print(f"predict begins")
            >>> Announce().on_predict_begin()
            predict begins
        """

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` ends.

        Args:
            logs: loss and metrics so far, by name.

        Example:
            >>> class Announce(Callback):
            ...     def on_predict_end(self, logs=None):
            ...         print(f"predict ends")
            >>> Announce().on_predict_end()
            predict ends
        """

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a predict step.

        Args:
            batch: its index, counted from 0.
            logs: empty.

        Example:
            >>> class Announce(Callback):
            ...     def on_predict_batch_begin(self, batch, logs=None):
            ...         print(f"predict step {batch} begins")
            >>> Announce().on_predict_batch_begin(0)
            predict step 0 begins
        """

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a predict step.

        Args:
            batch: its index, counted from 0.
            logs: ``outputs``, those of the batch.

        Example:
            >>> class Announce(Callback):
            ...     def on_predict_batch_end(self, batch, logs=None):
            ...         print(f"predict step {batch} ends")
            >>> Announce().on_predict_batch_end(0)
            predict step 0 ends
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

    def _check(self) -> None:
        Callback.__init__(self)


def _verbosity(value: int | bool, owner: object, name: str) -> int:
    if not isinstance(value, int) or value < 0:
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be 0 or 1.", got=repr(value)[:120])
    return int(value)


def verbosity(doc: str) -> Any:
    """Declare the field ``verbose``."""
    return field(default=0, convert=_verbosity, doc=doc)
