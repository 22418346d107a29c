"""What notebooks show: HTML beside text, and one output of a cell that changes (Jupyter, VS Code, Colab, marimo)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from anabranch._asked import answers, method


class View(NamedTuple):
    """One output: HTML for notebooks, text where nothing shows HTML."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


class Output:
    """An output of the running cell that changes, at most ``per_second`` times a second.

    Args:
        per_second: how often; each change sends the whole view.
    """

    def __init__(self, per_second: float = 4.0) -> None:
        self._pause = 1 / per_second
        self._shown_at = -1e9
        self._handle: Any = None

    def show(self, view: Callable[[], View], now: bool = False) -> None:
        """Show a view, which is made only where it is time for it; ``now`` does not wait."""
        if not now and time.monotonic() - self._shown_at < self._pause:
            return
        if self._handle is None:
            import IPython.display as shown  # looked up at each output, as marimo puts functions of its own there

            self._handle = shown.display(view(), display_id=True)  # type: ignore[no-untyped-call]  # untyped in IPython
        else:
            self._handle.update(view())
        self._shown_at = time.monotonic()  # after the work, so that it never takes more than a part of the time


def _shell() -> Any:
    """Return the shell of IPython where a kernel runs this process, else None."""
    shell = method(sys.modules.get("IPython"), "get_ipython")
    found = shell() if shell else None
    return found if answers(found, "kernel") else None


def cell() -> int | None:
    """Return the number of the cell that runs, None outside of IPython's notebooks."""
    shell = _shell()
    return shell and int(shell.execution_count)


def in_notebook() -> bool:
    """Return whether outputs of this process can show HTML and change: a kernel of IPython runs it, or marimo."""
    if _shell() is not None:
        return True
    running = method(sys.modules.get("marimo"), "running_in_notebook")
    if running is None or not running():
        return False
    from importlib.util import find_spec

    return find_spec("IPython") is not None
