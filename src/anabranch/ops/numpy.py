"""Keras's namespace of the functions that NumPy has, under NumPy's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.ops import (
    arithmetic,
    bits,
    comparison,
    complex,
    creation,
    elementary,
    hyperbolic,
    indexing,
    joining,
    linear,
    nan,
    reduction,
    shaping,
    vectorizing,
    windows,
)
from anabranch.ops._public import public_functions

if TYPE_CHECKING:
    from anabranch.ops.arithmetic import *  # noqa: F403 - what it defines
    from anabranch.ops.bits import *  # noqa: F403 - what it defines
    from anabranch.ops.comparison import *  # noqa: F403 - what it defines
    from anabranch.ops.complex import *  # noqa: F403 - what it defines
    from anabranch.ops.creation import *  # noqa: F403 - what it defines
    from anabranch.ops.elementary import *  # noqa: F403 - what it defines
    from anabranch.ops.hyperbolic import *  # noqa: F403 - what it defines
    from anabranch.ops.indexing import *  # noqa: F403 - what it defines
    from anabranch.ops.joining import *  # noqa: F403 - what it defines
    from anabranch.ops.linear import *  # noqa: F403 - what it defines
    from anabranch.ops.nan import *  # noqa: F403 - what it defines
    from anabranch.ops.reduction import *  # noqa: F403 - what it defines
    from anabranch.ops.shaping import *  # noqa: F403 - what it defines
    from anabranch.ops.vectorizing import *  # noqa: F403 - what it defines
    from anabranch.ops.windows import *  # noqa: F403 - what it defines

_FOUND = public_functions(
    arithmetic,
    bits,
    comparison,
    complex,
    creation,
    elementary,
    hyperbolic,
    indexing,
    joining,
    linear,
    nan,
    reduction,
    shaping,
    vectorizing,
    windows,
)
globals().update(_FOUND)
__all__ = sorted(_FOUND)
__dir__ = __all__.copy
