"""Where progress is shown: lines of a log, a bar in a terminal, one output of a notebook that changes."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from anabranch._notebooks import Output, View
from anabranch.callbacks._say import say
from anabranch.callbacks.history import History, mark_shown, page, rows_of


class Lines:
    """A log: one line when an epoch, an evaluation or a prediction ends."""

    def begin(self, title: str, total: int | None) -> None:
        """Begin an epoch, an evaluation or a prediction of ``total`` steps."""

    def move(self, done: int | None, values: str) -> None:
        """Show that so many steps are done; None: all of them."""

    def end(self, line: str, seconds: float) -> None:
        """Leave the line of what ends."""
        say(line)

    def close(self) -> None:
        """Give back what is held; also called after an error."""


class Terminal(Lines):
    """A bar that moves, and the lines of what has ended above it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._total: int | None = None

    def begin(self, title: str, total: int | None) -> None:
        """Open a bar."""
        self.close()
        self._bar, self._total = _BARS.add(title, total), total

    def move(self, done: int | None, values: str) -> None:
        """Move the bar."""
        done = self._total if done is None else done
        if self._bar is not None:
            _BARS.move(self._bar, values=values, **({} if done is None else {"completed": done}))

    def end(self, line: str, seconds: float) -> None:
        """Remove the bar and leave its line."""
        self.close()
        say(line)

    def close(self) -> None:
        """Remove the bar."""
        bar, self._bar = self._bar, None
        if bar is not None:
            _BARS.remove(bar)


class _Bars:
    """The one live display of the process; a bar that begins while another is alive is below it."""

    def __init__(self) -> None:
        self._display: Any = None
        self._bars = 0

    def add(self, title: str, total: int | None) -> Any:
        """Begin a bar and return its handle."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._display is None:
            self._display = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[values]}", markup=False), transient=True, refresh_per_second=5,
            )  # fmt: skip
            self._display.start()
        self._bars += 1
        return self._display.add_task(title, total=total, values="")

    def move(self, bar: object, **changes: Any) -> None:
        """Change what a bar shows."""
        self._display.update(bar, **changes)

    def remove(self, bar: object) -> None:
        """End a bar; the terminal is given back with the last."""
        self._bars -= 1
        if self._bars:
            self._display.remove_task(bar)
            return
        display, self._display = self._display, None
        display.stop()


_BARS = _Bars()


class Notebook(Lines):
    """One output of a cell: a line with a bar, the curves of the epochs so far, and their table.

    Args:
        history: the history of ``fit``; None for an evaluation or a prediction.
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = history
        self._output = Output()
        self._began = self._title_began = time.perf_counter()
        self._title = self._line = self._values = ""
        self._epochs_html: str | None = ""  # None where epochs have ended since it was written
        self._running = False
        self._done = 0
        self._total: int | None = None
        self._seconds: dict[int, str] = {}

    def begin(self, title: str, total: int | None) -> None:
        """Show the bar."""
        self._title, self._total, self._done, self._values, self._running = title, total, 0, "", True
        self._title_began = time.perf_counter()
        self._output.show(self._view)

    def move(self, done: int | None, values: str) -> None:
        """Move the bar, if it is time for it."""
        self._done, self._values = self._total or self._done if done is None else done, values
        self._output.show(self._view)

    def end(self, line: str, seconds: float) -> None:
        """Add the epoch to the table."""
        self._line, self._running = line, False
        if self._history is not None:
            self._seconds[rows_of(self._history) - 1] = f"{seconds:.1f} s"
            self._epochs_html = None
        self._output.show(self._view)

    def close(self) -> None:
        """Show what was last, which the saved notebook holds."""
        if self._running:
            self._line, self._running = f"{self._title} ended in step {self._done}{self._of()}", False
        elif self._seconds:
            count = len(self._seconds)
            self._line = f"{count} epoch{'s' * (count != 1)} in {time.perf_counter() - self._began:.1f} s"
        self._output.show(self._view, now=True)
        if self._history is not None:
            mark_shown(self._history)

    def _left(self) -> str:
        """Return how long the epoch will still take."""
        if not self._total or not 0 < self._done < self._total:
            return ""
        seconds = (time.perf_counter() - self._title_began) / self._done * (self._total - self._done)
        return f"  {int(seconds) // 60}:{int(seconds) % 60:02} left"

    def _of(self) -> str:
        return f"/{self._total}" if self._total else ""

    def _view(self) -> View:
        if self._epochs_html is None and self._history is not None:
            self._epochs_html = page(self._history, self._seconds)
        line = f"{self._title}  {self._done}{self._of()}{self._left()}  {self._values}" if self._running else self._line
        bar = ""
        if self._running and self._total:
            percent = round(100 * self._done / self._total)
            bar = (
                '<div style="width:240px;height:6px;border-radius:3px;background:rgba(128,128,128,.3)">'
                f'<div style="width:{percent}%;height:6px;border-radius:3px;background:#3b82f6"></div></div>'
            )
        text = line if self._history is None or self._running else f"{line}\n{self._history}"
        return View(f"<div>{escape(line.replace('  ', ' · '))}</div>{bar}{self._epochs_html or ''}", text)
