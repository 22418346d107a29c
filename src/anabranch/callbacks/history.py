"""The record of epochs that ``fit`` returns."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from anabranch import _notebooks
from anabranch._arguments import guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError, NotReadyError, unknown
from anabranch._frames import bound_methods
from anabranch._tables import Column, Table, aligned
from anabranch.callbacks import curves
from anabranch.callbacks.callback import Callback, Logs

MOST_ROWS = 30  # of a table in a notebook


@bound_methods
class History(Callback):
    """Record each metric's values in ``history``, one per epoch, and the epochs' indices in ``epoch``.

    ``interrupted`` is whether Ctrl-C ended the fit. Printed, it is a small curve in text for each metric; in a notebook, a
    picture and a table.

    Example:
        >>> history = History()
        >>> for epoch, loss in enumerate([0.5, 0.25, 0.125]):
        ...     history.on_epoch_end(epoch, {"loss": loss})
        >>> history.history
        {'loss': [0.5, 0.25, 0.125]}
        >>> print(history)
        3 epochs
        loss  █▃▁  0.5000 → 0.1250  least 0.1250 in epoch 3, most 0.5000 in epoch 1
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.interrupted = False
        self._shown_in: int | None = None  # the cell
        self._rows: list[int] = []  # the epochs of all fits
        self._at: dict[str, list[int]] = {}  # for each metric, the rows that have a value of it

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the epochs; a history given to several fits collects the values of all, as in Keras."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's values."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._at.setdefault(name, []).append(len(self._rows))
        self._rows.append(epoch)

    def records(self) -> list[dict[str, Any]]:
        """Return one dict for each epoch, with the epoch's index and what was measured in it: ``pandas.DataFrame`` takes them.

        Example:
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.on_epoch_end(1, {"loss": 0.25, "val_loss": 0.3})
            >>> history.records()
            [{'epoch': 0, 'loss': 0.5}, {'epoch': 1, 'loss': 0.25, 'val_loss': 0.3}]
        """
        found: list[dict[str, Any]] = [{"epoch": epoch} for epoch in self._epochs()]
        for name, values in self.history.items():
            for row, value in zip(self._positions(name), values, strict=True):
                found[row][name] = value
        return found

    @guarded
    def text(self, width: int = 40) -> str:
        """Return a line for each metric: its curve, first and last value, extremes. ``str()`` of a history is this text.

        Where the output's encoding lacks block characters, the curves are drawn in ASCII.

        Args:
            width: how many characters a curve may take; where there are more epochs, a character is the mean of several.

        Example:
            >>> history = History()
            >>> for epoch in range(8):
            ...     history.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
            >>> print(history.text(width=4))
            8 epochs
            loss  █▃▂▁  1.0000 → 0.1250  least 0.1250 in epoch 8, most 1.0000 in epoch 1
        """
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise ArgumentTypeError("width of text must be an integer ≥ 1.", got=shown(width))
        found = self._curves()
        blocks, arrow = (curves.BLOCKS, "→") if _has_blocks() else (curves.ASCII_BLOCKS, "->")
        rows = []
        for curve in found:
            first, last = curves.number(curve.values[0]), curves.number(curve.values[-1])
            line = curves.sparkline(curve.values, width, blocks)
            rows.append((curve.name, line, f"{first} {arrow} {last}", _extremes(curve)))
        return "\n".join([self._title(), *([aligned(rows)] if rows else [])])

    @guarded
    def plot(self, metrics: str | Sequence[str] | None = None) -> Any:
        """Draw the curves by matplotlib, training and validation of a metric in one panel, and return the panels' axes.

        A script shows them by ``matplotlib.pyplot.show()``, or saves them by ``axes[0].figure.savefig("curves.png")``.

        Args:
            metrics: the name of a metric, or several, without ``val_``; None draws all that are numbers.

        Raises:
            MissingExtraError: matplotlib is not installed: ``pip install anabranch[plots]``.
            UnknownNameError: nothing of that name was measured.

        Example:
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
            >>> history.on_epoch_end(1, {"loss": 0.3, "val_loss": 0.5})
            >>> [axis.get_title() for axis in history.plot("loss")]
            ['loss']
        """
        found = self._curves()
        known = [name for name, _ in curves.panels(found)]
        if not found:
            raise NotReadyError("The history has no epoch to plot.", repair="plot what fit returns")
        wanted = [metrics] if isinstance(metrics, str) else known if metrics is None else metrics
        if not isinstance(wanted, (list, tuple)) or not all(isinstance(name, str) for name in wanted):
            raise ArgumentTypeError("metrics of plot must be a name, or a list of names.", got=shown(metrics))
        for name in wanted:
            if name not in known:
                raise unknown("metric", name, known)
        return curves.plotted([curve for curve in found if curve.name.removeprefix("val_") in wanted])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<History of {self._title()}: {', '.join(self.history) or 'nothing measured'}>"

    def _repr_html_(self) -> str | None:
        if self._shown_in is not None and self._shown_in == _notebooks.cell():
            return None  # the output of fit shows it already
        return page(self)

    def _title(self) -> str:
        return f"{len(self._epochs())} epoch{'s' * (len(self._epochs()) != 1)}"

    def _epochs(self) -> list[int]:
        """Return the index of the epoch of each row; of what users put into ``history`` themselves, as many as it has."""
        longest = max(map(len, self.history.values()), default=0)
        return self._rows if len(self._rows) >= longest else list(range(longest))

    def _positions(self, name: str) -> Sequence[int]:
        """Return the rows of a metric's values; the last ones, where what was recorded says nothing of them."""
        count = len(self.history[name])
        known = self._at.get(name, [])
        rows = len(self._epochs())
        return known if len(known) == count and self._epochs() is self._rows else range(rows - count, rows)

    def _curves(self) -> list[curves.Curve]:
        epochs = [epoch + 1 for epoch in self._epochs()]
        if any(later <= earlier for earlier, later in itertools.pairwise(epochs)):  # of several fits
            epochs = list(range(1, len(epochs) + 1))
        return [
            curves.Curve(name, [epochs[row] for row in self._positions(name)], [float(value) for value in self.history[name]])
            for name in curves.by_name(self.history)
        ]

    def get_state(self) -> dict[str, Any]:
        """Return the epochs and their values."""
        return {
            "epoch": list(self.epoch),
            "history": {name: list(values) for name, values in self.history.items()},
            "rows": list(self._rows),
            "at": {name: list(rows) for name, rows in self._at.items()},
        }

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what ``get_state`` returned.

        Args:
            state: the state.
        """
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}
        self._rows = list(state.get("rows", self.epoch))
        self._at = {name: list(rows) for name, rows in state.get("at", {}).items()}


def page(history: History, times: Mapping[int, str] | None = None) -> str:
    """Return the curves of a history and a table of its epochs, of which only the last are shown where there are many.

    Args:
        history: the history.
        times: how long epochs took, by their row.
    """
    records = history.records()
    if times:
        records = [{"epoch": each["epoch"], "time": times.get(row, ""), **each} for row, each in enumerate(records)]
    names = list(dict.fromkeys(name for record in records for name in record))
    left_out = max(len(records) - MOST_ROWS, 0)
    rows = [[_cell(name, record.get(name, "")) for name in names] for record in records[left_out:]]
    note = f"<div>the last {MOST_ROWS} of {len(records)} epochs</div>" if left_out else ""
    return f"{curves.svg(history._curves())}{note}{Table([Column(name) for name in names], rows).html()}"


def rows_of(history: History) -> int:
    """Return how many epochs a history has, of all fits."""
    return len(history._epochs())


def mark_shown(history: History) -> None:
    """Note that the running cell shows a history, which is then not shown again where ``fit`` is its last line."""
    history._shown_in = _notebooks.cell()


def _cell(name: str, value: object) -> str:
    """Return a value of a record as it is written in a table, where epochs are counted from 1."""
    if name == "epoch" and isinstance(value, int):
        return str(value + 1)
    return curves.number(float(value)) if curves.is_number(value) else str(value)


def _extremes(curve: curves.Curve) -> str:
    """Return the least and the largest value that are finite, and the epochs of these."""
    finite = [(value, epoch) for epoch, value in zip(curve.epochs, curve.values, strict=True) if math.isfinite(value)]
    if not finite:
        return ""
    (low, least), (high, most) = min(finite), max(finite, key=lambda pair: pair[0])
    return f"least {curves.number(low)} in epoch {least}, most {curves.number(high)} in epoch {most}"


def _has_blocks() -> bool:
    """Return whether what is printed may have block characters."""
    try:
        curves.BLOCKS.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
