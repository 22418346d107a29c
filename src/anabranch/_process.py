"""State of the process that settings, layers and models share: changes, and the seed."""

from __future__ import annotations

import os
from collections.abc import Callable


class Seeding:
    """One setting of the seed, from which layers and generators made until the next one draw.

    Args:
        seed: None is one that the operating system draws when it is first asked for.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._claims = 0
        self.reached_torch = seed is None  # torch has a seed of its own until one is set

    def __deepcopy__(self, memo: dict[int, object]) -> Seeding:
        """Return the seeding itself: the layers of a copied model have the values of those they are copies of."""
        return self

    @property
    def seed(self) -> int:
        """The seed."""
        if self._seed is None:
            self._seed = int.from_bytes(os.urandom(4), "little")
        return self._seed

    def reach_torch(self, manual_seed: Callable[[int], object]) -> None:
        """Seed torch's generators: what is drawn from then on is not drawn again."""
        manual_seed(self.seed)
        self.reached_torch = True

    def next_claim(self) -> int:
        """Return how many models claimed layers made since this seed was set, and count one more.

        Initial values depend on this number, so that three models from one function differ and a seeded program repeats itself.
        """
        self._claims += 1
        return self._claims - 1


_floatx = "float32"
_changes = 0
_seeding = Seeding()
remat_scopes: list[object] = []  # those that are open; the last one holds for the layers that are made


def floatx() -> str:
    """Return the default float type."""
    return _floatx


def set_floatx(name: str) -> None:
    """Set the default float type."""
    global _floatx
    _floatx = name


def changes() -> int:
    """Return how often something changed that running models depend on: a device was set, a layer made, frozen or unfrozen."""
    return _changes


def note_change() -> None:
    """Count one such change, so that models check their programs before they next run."""
    global _changes
    _changes += 1


def seeding() -> Seeding:
    """Return the last setting of the seed; generators and models that hold another one know that they restart."""
    return _seeding


def set_seed(number: int) -> None:
    """Set the seed."""
    global _seeding
    _seeding = Seeding(number)
