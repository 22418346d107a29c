"""Two branches that do not fit together, as a record: the clue of the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from anabranch.diagnosis.axes import axis_names

if TYPE_CHECKING:
    from anabranch.graph.shapes import Shape


class Clash(NamedTuple):
    """Two branches, counted from 0, their shapes raised to one rank, and the axes along which they do not go together.

    ``meant``: the code that asks for one to be stretched, where that would do.
    """

    one: int
    other: int
    shapes: tuple[Shape, Shape]
    axes: list[int]
    channels_first: bool = False
    meant: str | None = None

    @property
    def names(self) -> list[str]:
        """What the axes are called."""
        names = axis_names(len(self.shapes[0]), self.channels_first)
        return [names[axis] for axis in self.axes]

    def sizes(self) -> str:
        """Return the sizes that clash, axis by axis: ``height 28 and 30, width 28 and 30``."""
        a, b = self.shapes
        return ", ".join(f"{name} {a[axis]} and {b[axis]}" for name, axis in zip(self.names, self.axes, strict=True))
