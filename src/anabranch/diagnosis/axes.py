"""What the axes of a tensor are called, by its rank and layout."""

from __future__ import annotations

SPATIAL = {3: ("steps",), 4: ("height", "width"), 5: ("depth", "height", "width")}
LAST = ("channels", "features")  # one notion, named after the rank


def axis_names(rank: int, channels_first: bool = False) -> tuple[str, ...]:
    """Return what the axes of a tensor are called: batch, spatial axes, channels.

    >>> axis_names(4)
    ('batch', 'height', 'width', 'channels')
    """
    if rank == 2:
        return ("batch", "features")
    if rank not in SPATIAL:
        return tuple(f"axis {axis}" for axis in range(rank))
    if rank > 3 and channels_first:
        return ("batch", "channels", *SPATIAL[rank])
    return ("batch", *SPATIAL[rank], "channels" if rank > 3 else "features")
