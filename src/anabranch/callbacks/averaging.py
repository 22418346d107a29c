"""The callback that evaluates with averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch._asked import answers
from anabranch._errors import ArgumentError
from anabranch._fields import Field, boolean
from anabranch.callbacks.callback import Configured, Logs


class SwapEMAWeights(Configured):
    """Put the moving averages of an optimizer with ``use_ema=True`` in the weights' place while the model is evaluated.

    The weights that are trained come back afterwards. At the end of ``fit`` the averages stay in the model, as they do with
    ``use_ema=True`` alone.

    Example:
        >>> SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
        True
    """

    swap_on_epoch: Field[bool, bool] = boolean(
        default=False,
        doc="whether they are in place from an epoch's end to the beginning of the next one, too, so that a "
        "``ModelCheckpoint`` behind this callback saves them.",
    )

    def _check_(self) -> None:
        super()._check_()
        self._put_back: Callable[[], None] | None = None
        self._for_test = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the trained weights back."""
        self._restore()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the averages in place."""
        if self.swap_on_epoch:
            self._swap()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in place."""
        self._for_test = self._put_back is None
        self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put the trained weights back."""
        if self._for_test:
            self._restore()

    on_predict_begin, on_predict_end = on_test_begin, on_test_end

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Leave the averages in place, as the optimizer does."""
        self._put_back = None

    def on_close(self) -> None:
        """Put the trained weights back where an evaluation failed."""
        self._restore()

    def _swap(self) -> None:
        if self._put_back is None:
            self._put_back = _averaging(self.model.optimizer)._put_averages_()

    def _restore(self) -> None:
        put_back, self._put_back = self._put_back, None
        if put_back is not None:
            put_back()


def _averaging(optimizer: Any) -> Any:
    """Return the optimizer that has the averages: this one, or the one inside that scales no loss."""
    inner = optimizer.inner_optimizer if answers(optimizer, "inner_optimizer") else optimizer
    if not inner.use_ema:
        raise ArgumentError(
            "SwapEMAWeights needs an optimizer that averages the weights.", got=f"{type(inner).__name__}(use_ema=False)",
            repair="pass use_ema=True to the optimizer",
        )  # fmt: skip
    return inner
