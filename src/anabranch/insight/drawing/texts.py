"""What drawings as text have in common: groups as brackets around lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anabranch.insight.drawing.picture import Box, Picture


def nested(picture: Picture, opened: Callable[[Box], Sequence[str]], single: Callable[[Box], str], closing: str) -> list[str]:
    """Return the lines of all boxes, indented, each group's between those that open it and the one that closes it."""
    lines: list[str] = []
    inside = [""]
    for box in picture.boxes:
        while inside[-1] != box.parent:
            inside.pop()
            lines.append("  " * len(inside) + closing)
        indent = "  " * len(inside)
        if box.group:
            lines += [indent + line for line in opened(box)]
            inside.append(box.id)
        else:
            lines.append(indent + single(box))
    lines += ["  " * depth + closing for depth in range(len(inside) - 1, 0, -1)]
    return lines
