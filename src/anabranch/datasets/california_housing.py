"""California housing: 20,640 districts of the census of 1990 (Pace & Barry 1997)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anabranch._arguments import checked
from anabranch.datasets._fetch import Remote, loader
from anabranch.datasets._npz import read
from anabranch.datasets._rows import stored, table
from anabranch.datasets.sources import CALIFORNIA_HOUSING

if TYPE_CHECKING:
    from anabranch.datasets._rows import Split


@checked
@loader((16512, 8))
def load_data(
    version: Literal["large", "small"] = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
    *,
    source: Remote = CALIFORNIA_HOUSING,
) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 8 numbers of each district, and its median price.

    Args:
        version: "large", or "small" for the first 600 districts.
        path: its folder in the data folder, as ``folder/california_housing.npz``; or a file, from the root on.
        test_split: the fraction of the second part.
        seed: of the order.
        source: where the official file comes from, and its sha256.
    """
    x, y = read(stored(path, source), ("x", "y"))
    if version == "small":
        x, y = x[:600], y[:600]
    return table(x, y, test_split, seed)


__all__ = ["load_data"]
__dir__ = __all__.copy
