"""Where in the user's own code a layer was made or called."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class CallSite(NamedTuple):
    """A file and a line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


def call_site() -> CallSite:
    """Return the innermost place on the call stack that is neither anabranch's own code nor torch's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_globals.get("__name__", "").startswith("torch.")
    ):
        frame = frame.f_back
    return CallSite(frame.f_code.co_filename, frame.f_lineno)
