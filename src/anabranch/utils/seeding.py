"""One seed for Python, NumPy, torch and the weights' initial values."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

from anabranch import _process, config
from anabranch._arguments import checked
from anabranch._loading import when_loaded


@checked
def set_random_seed(seed: SupportsIndex) -> None:
    """Seed Python's ``random``, NumPy's global generator, weights' initial values, and torch's generators.

    NumPy and torch are seeded when they are imported, where that is later.

    Args:
        seed: an integer from -2⁶³ to 2⁶⁴ - 1, which is what torch takes.

    Raises:
        ArgumentTypeError: no integer.
        ArgumentError: outside that range; nothing is seeded then.

    Example:
        >>> import random
        >>> set_random_seed(1)
        >>> random.random()
        0.13436424411240122
    """
    import random

    config.set_seed(seed)
    random.seed(operator.index(seed))
    when_loaded("numpy.random", _seed_numpy)
    when_loaded("torch", _seed_torch)  # a module of the user's draws its initial values when it is made


def _seed_numpy(random: Any) -> None:
    random.seed(config.seed() % 2**32)


def _seed_torch(torch: Any) -> None:
    _process.seeding().reach_torch(torch.manual_seed)
