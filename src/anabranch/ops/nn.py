"""Keras's namespace of what networks are made of: activations, windows, normalization, classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.ops import activation, attention, classes, convolution, normalizing, phases, sequences
from anabranch.ops._public import public_functions

if TYPE_CHECKING:
    from anabranch.ops.activation import *  # noqa: F403 - what it defines
    from anabranch.ops.attention import *  # noqa: F403 - what it defines
    from anabranch.ops.classes import *  # noqa: F403 - what it defines
    from anabranch.ops.convolution import *  # noqa: F403 - what it defines
    from anabranch.ops.normalizing import *  # noqa: F403 - what it defines
    from anabranch.ops.phases import *  # noqa: F403 - what it defines
    from anabranch.ops.sequences import *  # noqa: F403 - what it defines

_FOUND = public_functions(activation, attention, classes, convolution, normalizing, phases, sequences)
globals().update(_FOUND)
__all__ = sorted(_FOUND)
__dir__ = __all__.copy
