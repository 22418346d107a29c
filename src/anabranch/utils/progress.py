"""A bar for a script's own loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from anabranch._arguments import checked, guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentError, printable
from anabranch._frames import bound_methods
from anabranch.callbacks._say import say
from anabranch.callbacks.progress import alive, pace, values_of


@bound_methods
class Progbar:
    """Show how far a loop is, with values such as losses: a bar in terminals and notebooks, one line at the end in a log.

    Args:
        target: how many steps there are; None where that is not known.
        width: how many characters the bar has.
        verbose: 0 is silence, 1 a bar, 2 a line at the end.
        interval: the least time between two changes of the bar, in seconds.
        stateful_metrics: values by name that are shown as they are; of others the mean since the start is shown.
        stateless_metrics: in its place, the values of which the mean is shown; others are shown as they are.
        unit_name: what a step is called.

    Example:
        >>> bar = Progbar(2, verbose=0)
        >>> for step, loss in enumerate([3.0, 1.0]):
        ...     bar.update(step + 1, [("loss", loss)])
        >>> bar.values
        {'loss': 2.0}
    """

    @checked
    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Sequence[str] | None = None,
        stateless_metrics: Sequence[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("Only one of stateful_metrics and stateless_metrics can be given.")
        if width < 0 or interval < 0 or (target is not None and target < 0):
            raise ArgumentError(
                "target, width and interval of Progbar must be ≥ 0.", got=f"target={target}, width={width}, interval={interval}"
            )
        if verbose not in (0, 1, 2):
            raise ArgumentError("verbose must be 0, 1 or 2.", got=shown(verbose))
        self.target, self.width, self.verbose, self.interval, self.unit_name = target, width, verbose, interval, unit_name
        self.stateful_metrics = (
            None if stateful_metrics is None and stateless_metrics is not None else set(stateful_metrics or ())
        )
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, int]] = {}
        self._done = self._longest = 0
        self._started = time.perf_counter()
        self._shown_at = 0.0

    @property
    def values(self) -> dict[str, float]:
        """What is shown, by name."""
        return {name: total / max(1, steps) for name, (total, steps) in self._sums.items()}

    @guarded
    def update(self, current: int, values: Iterable[tuple[str, float]] | None = None, finalize: bool | None = None) -> None:
        """Show that ``current`` steps are done.

        Args:
            current: how many steps are done.
            values: pairs of a name and a number.
            finalize: whether this was the last step; where ``current`` reaches the target unless given. The values then given
                are those of the whole loop, unless they are means of it.

        Example:
            >>> Progbar(1, verbose=0).update(1)
        """
        steps = max(current - self._done, 1)
        for name, value in values or ():
            number = float(value)
            total, count = self._sums.get(name, (0.0, 0)) if self._is_mean(name) else (0.0, 0)
            self._sums[name] = (total + number * steps, count + steps)
        self._done = current
        ends = finalize if finalize is not None else self.target is not None and current >= self.target
        now = time.perf_counter()
        if self.verbose == 1 and alive():
            if ends or now - self._shown_at >= self.interval:
                self._shown_at = now
                self._write(self._line(now), ends)
        elif self.verbose and ends:
            say(self._line(now))

    @guarded
    def add(self, n: int, values: Iterable[tuple[str, float]] | None = None) -> None:
        """Show that ``n`` more steps are done.

        Args:
            n: how many.
            values: pairs of a name and a number.

        Example:
            >>> Progbar(1, verbose=0).add(1)
        """
        self.update(self._done + n, values)

    def _is_mean(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _line(self, now: float) -> str:
        seconds = now - self._started
        bar = ""
        if self.verbose == 1 and self.target:
            filled = min(self.width, self.width * self._done // self.target)
            bar = "━" * filled + "╌" * (self.width - filled)
        count = f"{self._done}/{self.target}" if self.target else f"{self._done}"
        speed = pace(seconds, self._done).replace("/step", f"/{self.unit_name}")
        return "  ".join(filter(None, (count, bar, f"{seconds:.1f} s", speed, values_of(self.values))))

    def _write(self, line: str, ends: bool) -> None:
        """Write the line over the one before."""
        line = printable(line)
        sys.stdout.write(f"\r{line:<{self._longest}}" + ("\n" if ends else ""))
        sys.stdout.flush()
        self._longest = len(line)
