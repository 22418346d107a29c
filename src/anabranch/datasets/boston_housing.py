"""Boston housing: 506 districts of the 1970s. One of its variables encodes race, so use it for comparisons alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._arguments import checked
from anabranch.datasets._fetch import Remote, loader
from anabranch.datasets._npz import read
from anabranch.datasets._rows import stored, table
from anabranch.datasets.sources import BOSTON_HOUSING

if TYPE_CHECKING:
    from anabranch.datasets._rows import Split


@checked
@loader((404, 13))
def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113, *, source: Remote = BOSTON_HOUSING
) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 13 numbers of each district, and its median price in 1000 $.

    Args:
        path: its folder in the data folder, as ``folder/boston_housing.npz``; or a file, from the root on.
        test_split: the fraction of the second part.
        seed: of the order.
        source: where the official file comes from, and its sha256.
    """
    x, y = read(stored(path, source), ("x", "y"))
    return table(x, y, test_split, seed)


__all__ = ["load_data"]
__dir__ = __all__.copy
