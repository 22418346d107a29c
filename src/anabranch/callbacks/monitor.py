"""Watching one value of the logs: which way is better, what to do where it is not measured."""

from __future__ import annotations

import math
from typing import Any, Literal

from anabranch._errors import ArgumentError, nearest
from anabranch.callbacks.callback import Logs
from anabranch.graph.call_site import warn

Mode = Literal["auto", "min", "max"]

# Parts of metrics' names and class names, without underscores; what falls is tried first, so that "dice_loss" is a loss.
_FALLING = (
    "loss", "error", "crossentropy", "hinge", "divergence", "poisson", "huber", "logcosh", "mse", "mae", "mape", "msle",
    "perplexity",
)  # fmt: skip
_FALLING_WORDS = {"ce", "kl", "kld", "nll", "bce"}
_GROWING = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "sensitivity", "specificity", "similarity",
    "correlation", "dice",
)  # fmt: skip


class Monitor:
    """The best value so far of one entry of the logs.

    Args:
        name: the entry, such as ``val_loss``.
        mode: ``min``, ``max``, or ``auto``, which knows what losses, errors, accuracies and the like ought to do.
        min_delta: a smaller change is none.
        best: the value to beat at first.
    """

    def __init__(self, name: str, mode: Mode = "auto", min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in ("auto", "min", "max"):
            raise ArgumentError("Unknown mode.", expected="'auto', 'min' or 'max'", got=repr(mode))
        self.name, self.mode, self.min_delta, self.best = name, mode, abs(min_delta), best
        self._grows: bool | None = None if mode == "auto" else mode == "max"
        self._warned = False

    def settle(self, model: Any) -> None:
        """Find out which way is better; an error where that is not known."""
        if self._grows is None:
            self._grows = _direction(self.name, model)

    def read(self, logs: Logs | None) -> float | None:
        """Return the value of this epoch; None, with one warning, where it waits for a validation.

        Raises:
            ArgumentError: nothing of that name is measured; the message lists what is.
        """
        logs = logs or {}
        if self.name in logs:
            return float(logs[self.name])
        validated = any(name.startswith("val_") for name in logs)
        close = nearest(self.name, logs)
        if self.name.startswith("val_") and self.name.removeprefix("val_") in logs and not validated:
            if not self._warned:
                self._warned = True
                warn(
                    f"{self.name!r} is not measured in this epoch, so nothing is decided by it. It needs validation_data or "
                    f"validation_split, and validation_freq says how often it comes. Measured: {', '.join(logs)}."
                )
            return None
        raise ArgumentError(
            f"Nothing called {self.name!r} is measured.",
            expected=f"one of: {', '.join(logs)}",
            repair=f"did you mean monitor={close!r}?" if close else "val_… needs validation_data or validation_split",
        )

    def improves(self, value: float, than: float | None = None) -> bool:
        """Return whether ``value`` is better than the best so far (or than ``than``) by more than ``min_delta``.

        NaN is never better, and any number is better than NaN.
        """
        best = self.best if than is None else than
        if math.isnan(value):
            return False
        if best is None or math.isnan(best):
            return True
        return value - self.min_delta > best if self._grows else value + self.min_delta < best


def _direction(name: str, model: Any) -> bool:
    """Return whether the value called ``name`` grows as a model gets better."""
    base = name.removeprefix("val_")
    words = {base}
    held = getattr(model, "metrics", None) or ()  # anything with fit may be the model
    for metric in [inner for one in held for inner in getattr(one, "metrics", (one,))]:  # groups have metrics of their own
        known = str(getattr(metric, "name", ""))  # Keras's and torchmetrics' may lack it
        if known and (base == known or base.endswith(f"_{known}")):
            if getattr(metric, "_direction", None) in ("up", "down"):  # a word of Keras's metrics
                return bool(metric._direction == "up")
            words.add(type(metric).__name__)
    text = " ".join(words).lower().replace("_", "")
    if any(part in text for part in _FALLING) or _FALLING_WORDS & set(base.lower().split("_")):
        return False
    if any(part in text for part in _GROWING):
        return True
    raise ArgumentError(
        f"Whether {name!r} should grow or fall is not known from its name.", repair="pass mode='max' or mode='min'"
    )
