"""What an update is composed of: each part is one change of gradients or weights, with the state it needs for that.

A part is a callable that takes a :class:`Step`. Those that a setting turns off are left out of the composition, so they
cost nothing.
"""

from anabranch.optimizers.parts.accumulate import Accumulated
from anabranch.optimizers.parts.average import Averages
from anabranch.optimizers.parts.clip import clips
from anabranch.optimizers.parts.constrain import constrain
from anabranch.optimizers.parts.decay import Decay
from anabranch.optimizers.parts.rule import ByLists, ByTorch, ByWeight
from anabranch.optimizers.parts.scale import Scale
from anabranch.optimizers.parts.step import Part, Step

__all__ = ["Accumulated", "Averages", "ByLists", "ByTorch", "ByWeight", "Decay", "Part", "Scale", "Step", "clips", "constrain"]
