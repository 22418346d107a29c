"""Which version this is."""

from __future__ import annotations

import sys

from anabranch import registry


def version() -> str:
    """Return the version of this package.

    Example:
        >>> import anabranch
        >>> version() == anabranch.__version__
        True
    """
    found: str = sys.modules[registry.PACKAGE].__version__
    return found
