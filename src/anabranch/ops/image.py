"""Keras's namespace of what is done to images: sizes, colours, filters, patches, positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.ops import colors, filtering, framing, patches, warping
from anabranch.ops._public import public_functions

if TYPE_CHECKING:
    from anabranch.ops.colors import *  # noqa: F403 - what it defines
    from anabranch.ops.filtering import *  # noqa: F403 - what it defines
    from anabranch.ops.framing import *  # noqa: F403 - what it defines
    from anabranch.ops.patches import *  # noqa: F403 - what it defines
    from anabranch.ops.warping import *  # noqa: F403 - what it defines

_FOUND = public_functions(colors, filtering, framing, patches, warping)
globals().update(_FOUND)
__all__ = sorted(_FOUND)
__dir__ = __all__.copy
