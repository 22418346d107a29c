"""Where in the user's own code a layer was made or called, or is warned of; in a notebook, the cell and the line in it."""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from types import FrameType
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class CallSite(NamedTuple):
    """A file and a line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


def call_site() -> CallSite:
    """Return the innermost place on the call stack that is no code of anabranch, torch, NumPy, contextlib or importlib."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE)
        or frame.f_globals.get("__name__", "").startswith(("torch.", "numpy.", "contextlib", "importlib"))
    ):
        frame = frame.f_back
    site = _site(frame.f_code.co_filename, frame.f_lineno)
    return CallSite(_cell(site.file, frame) or site.file, site.line) if _is_cell(site.file) else site


_shown: dict[str, dict[Any, Any]] = {}  # Python's notes, for each file, of what was warned of there, so that it is once


def warn(message: str, site: CallSite | None = None) -> None:
    """Warn at ``site``, or else at the user's own line that is running."""
    site = site or call_site()
    warnings.warn_explicit(message, UserWarning, site.file, site.line, registry=_shown.setdefault(site.file, {}))


@functools.lru_cache(4096)
def _site(file: str, line: int) -> CallSite:
    """Return one record for all that is made on a line: a loop makes many layers, and memory is walked for garbage."""
    return CallSite(file, line)


def _is_cell(file: str) -> bool:
    return "ipython-input" in file or "ipykernel" in file


def _cell(file: str, frame: FrameType) -> str | None:
    """Return the cell that IPython runs under the name ``file``, such as ``In [3]``; None for any other file.

    A terminal's IPython numbers the file. A notebook's names it by a hash of the cell's text, which ``linecache`` holds; the
    inputs so far are the list ``In`` beside ``_oh`` among the user's names, of which the last is the one that runs.
    """
    if numbered := re.match(r"<ipython-input-(\d+)-", file):
        return f"In [{numbered[1]}]"
    inputs = frame.f_globals.get("In")
    if "_oh" not in frame.f_globals or not isinstance(inputs, list) or not re.search(r"ipykernel_\d+[\\/]\d+\.py$", file):
        return None
    import linecache

    text = "".join(linecache.getlines(file, frame.f_globals)).strip()
    same = [number for number, source in enumerate(inputs) if text and source.strip() == text]
    return f"In [{same[-1] if same else len(inputs) - 1}]"
