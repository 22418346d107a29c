"""Where everything of a picture goes, for boxes of given sizes: a layered layout, rows along the flow.

Each level of the :mod:`plan` is placed by itself, innermost first, so that a group is a box of known size in the level around
it. What runs straight (the trunk, the long part of a skip) is one block that moves as a whole; blocks are spread as little as
their sizes allow and drawn to what they are connected to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from anabranch.insight.drawing.picture import Picture
from anabranch.insight.drawing.placing import Placed, Placing, Rect, Size
from anabranch.insight.drawing.plan import Level, Plan, plan as plan_of

Direction: TypeAlias = Literal["TB", "LR", "BT", "RL"]
"""Where the flow goes: down, right, up, left."""


class Line(NamedTuple):
    """An edge by its points: between two of them it runs along the flow or across it, else as a curve or a slanted line."""

    edge: int
    """The edge's number in the picture."""
    skips: bool
    """Whether it is a way around other boxes that its source leads to."""
    points: list[tuple[float, float]]


class Layout(NamedTuple):
    """Where boxes, groups and edges are, and how large the whole is."""

    width: float
    height: float
    rankdir: Direction
    boxes: dict[str, Rect]
    titles: dict[str, Rect]
    """Where the titles of groups go."""
    lines: list[Line]


def layout(
    picture: Picture, sizes: Mapping[str, Size], rankdir: Direction = "TB", right_angles: bool = True, plan: Plan | None = None
) -> Layout:
    """Return where everything goes.

    Args:
        picture: what is drawn.
        sizes: of every box; of a group, that of its title.
        rankdir: where the flow goes.
        right_angles: whether edges turn at right angles; else they are curves or slanted lines between rows.
        plan: the plan of the picture, where it is known.
    """
    levels = plan_of(picture) if plan is None else plan
    placed: dict[str, Placed] = {}
    for group in [*(box.id for box in reversed(picture.boxes) if box.group), ""]:
        placed[group] = Placing(levels[group], sizes, placed, rankdir).result(sizes.get(group) if group else None)
    return _Assembly(picture, levels, placed, rankdir, right_angles).layout()


class _Assembly:
    """The levels put into each other, turned to where the flow goes."""

    def __init__(
        self, picture: Picture, levels: Plan, placed: Mapping[str, Placed], rankdir: Direction, right_angles: bool
    ) -> None:
        self.picture = picture
        self.levels = levels
        self.placed = placed
        self.rankdir = rankdir
        self.right_angles = right_angles
        self.corner: dict[str, tuple[float, float]] = {"": (0.0, 0.0)}  # of each group, across and along
        self.span: dict[str, tuple[float, float, float, float]] = {}

    def layout(self) -> Layout:
        """Return everything in its place."""
        whole = self.placed[""]
        self._place_boxes()
        self.across, self.along = whole.across, whole.along
        boxes = {box: self._turned(*span) for box, span in self.span.items()}
        titles = {
            group: self._turned(self.corner[group][0] + t.x, self.corner[group][1] + t.y, t.width, t.height)
            for group in self.levels
            if group and (t := self.placed[group].title)
        }
        sideways = self.rankdir in ("LR", "RL")
        width, height = (self.along, self.across) if sideways else (self.across, self.along)
        return Layout(width, height, self.rankdir, boxes, titles, self._lines())

    def _place_boxes(self) -> None:
        for group in ["", *(box.id for box in self.picture.boxes if box.group)]:
            level, placed = self.levels[group], self.placed[group]
            x, y = self.corner[group]
            for row, cells in enumerate(level.rows):
                for cell in cells:
                    if level.cells[cell].kind != "box":
                        continue
                    breadth, length = placed.breadths[cell], placed.lengths[cell]
                    top = y + placed.tops[row] + (placed.ends[row] - placed.tops[row] - length) / 2
                    corner = x + placed.middles[cell] - breadth / 2, top
                    self.span[level.cells[cell].box] = (*corner, breadth, length)
                    self.corner[level.cells[cell].box] = corner

    def _turned(self, across: float, along: float, breadth: float, length: float) -> Rect:
        if self.rankdir in ("BT", "RL"):
            along = self.along - along - length
        return Rect(along, across, length, breadth) if self.rankdir in ("LR", "RL") else Rect(across, along, breadth, length)

    def _point(self, across: float, along: float) -> tuple[float, float]:
        rect = self._turned(across, along, 0.0, 0.0)
        return rect.x, rect.y

    def _lines(self) -> list[Line]:
        pieces: dict[int, dict[str, list[tuple[float, float]]]] = {}
        passing = set()
        for group, level in self.levels.items():
            row_of = {cell: row for row, cells in enumerate(level.rows) for cell in cells}
            turns = [self._turns(group, level, row_of, number) for number in range(len(level.strands))]
            passes = [level.cells[strand.lower].kind == "line" for strand in level.strands]
            for edge, route in level.routes.items():
                bent = [point for number in route for point in turns[number]]
                ends = self._start(group, level, row_of, route[0]), self._end(group, level, row_of, route[-1])
                pieces.setdefault(edge, {})[group] = [ends[0], *bent, ends[1]]
                if any(passes[number] for number in route):
                    passing.add(edge)
        around = {box.id: box.parent for box in self.picture.boxes}
        leaving, arriving = self._ends_of_edges()
        lines = []
        for number, (source, target, *_) in enumerate(self.picture.edges):
            held = pieces[number]
            outward, inward = _groups(source, around), _groups(target, around)
            way = [*(g for g in outward if g in held), *(g for g in reversed(inward) if g in held and g not in outward)]
            points = [self._point(*point) for group in way for point in held[group]]
            skips = number in passing and len(leaving[source]) > 1 and len(arriving[target]) > 1
            lines.append(Line(number, skips, _simple(points, self.rankdir in ("LR", "RL"))))
        return lines

    def _ends_of_edges(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Return for each box which boxes its outputs go to, and which its inputs come from."""
        leaving: dict[str, set[str]] = {}
        arriving: dict[str, set[str]] = {}
        for edge in self.picture.edges:
            leaving.setdefault(edge.source, set()).add(edge.target)
            arriving.setdefault(edge.target, set()).add(edge.source)
        return leaving, arriving

    # Across and along, from the corner of all

    def _start(self, group: str, level: Level, row_of: Mapping[int, int], number: int) -> tuple[float, float]:
        """Return where a strand leaves its upper cell."""
        placed, (x, y) = self.placed[group], self.corner[group]
        cell, tensor = level.strands[number].upper, level.strands[number].tensor
        row = row_of[cell]
        leave = 0.0 if level.cells[cell].kind == "in" else (placed.tops[row] + placed.ends[row] + placed.lengths[cell]) / 2
        return x + placed.middles[cell] + placed.starts[cell][tensor], y + leave

    def _end(self, group: str, level: Level, row_of: Mapping[int, int], number: int) -> tuple[float, float]:
        """Return where a strand arrives at its lower cell."""
        placed, (x, y) = self.placed[group], self.corner[group]
        cell = level.strands[number].lower
        row = row_of[cell]
        out = level.cells[cell].kind == "out"
        arrive = placed.along if out else (placed.tops[row] + placed.ends[row] - placed.lengths[cell]) / 2
        return x + placed.middles[cell] + placed.arrivals[number], y + arrive

    def _turns(self, group: str, level: Level, row_of: Mapping[int, int], number: int) -> list[tuple[float, float]]:
        """Return where a strand turns to go across, and back; nothing where it is straight."""
        placed, (_, y) = self.placed[group], self.corner[group]
        strand = level.strands[number]
        start, end = self._start(group, level, row_of, number)[0], self._end(group, level, row_of, number)[0]
        if abs(start - end) < 0.01:
            return []
        below = placed.ends[row_of[strand.upper]]
        if self.right_angles:
            track = y + below + placed.tracks[number]
            return [(start, track), (end, track)]
        return [(start, y + below), (end, y + placed.tops[row_of[strand.lower]])]


def _groups(box: str, around: Mapping[str, str]) -> list[str]:
    """Return the groups around a box, from within."""
    found = []
    while box:
        box = around[box]
        found.append(box)
    return found


def _simple(points: list[tuple[float, float]], sideways: bool) -> list[tuple[float, float]]:
    """Return the points without those in the middle of a straight part."""
    found: list[tuple[float, float]] = []
    same = 1 if sideways else 0
    for point in points:
        if found and abs(point[0] - found[-1][0]) + abs(point[1] - found[-1][1]) < 0.01:
            continue
        if len(found) > 1 and abs(found[-2][same] - found[-1][same]) < 0.01 and abs(found[-1][same] - point[same]) < 0.01:
            found[-1] = point
        else:
            found.append(point)
    return found
