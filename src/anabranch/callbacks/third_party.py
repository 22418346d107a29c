"""Callbacks of other packages, such as Keras's own, and objects with some of their hooks."""

from __future__ import annotations

from anabranch._asked import method
from anabranch.callbacks.callback import HOOKS, Callback

_OTHERS = ("set_model", "set_params", "on_close", "get_state", "set_state")


class ThirdPartyCallback(Callback):
    """Calls the hooks that another object has.

    Args:
        inner: an object with at least one of Keras's hooks, such as ``on_epoch_end(epoch, logs)``.
    """

    def __init__(self, inner: object) -> None:
        super().__init__()
        self.inner = inner
        for name in (*HOOKS, *_OTHERS):
            hook = method(inner, name)
            if hook is not None:
                setattr(self, name, hook)


def has_hooks(value: object) -> bool:
    """Return whether an object, not a class, has one of a callback's hooks."""
    return not isinstance(value, type) and any(method(value, name) for name in HOOKS)
