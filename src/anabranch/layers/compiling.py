"""Whether ``torch.compile`` follows a call; loads nothing, and is written so that torch.compile can follow it too."""

from __future__ import annotations

import sys
from typing import Any


def is_compiling() -> bool:
    """Return whether this call is being compiled, not run."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_dynamo_compiling()
