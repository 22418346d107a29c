"""The part of a layout that no size decides: for each group, which row every box is in, the order in each row, what is aligned.

A group is a level of its own: its boxes, and inner groups as boxes. An edge that crosses its border passes a port, a cell in
the first or the last row; an edge over several rows passes a cell in each. So folding a group changes no plan, only the size of
one cell in the level around it; :mod:`layout` gives coordinates to the levels that are open, innermost first.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from anabranch.insight.drawing.picture import Box, Picture

SWEEPS = 8
MOST_LINES = 4000  # cells that edges pass, besides 8 for each box, before edges to one box share them
MOST_APART = 8  # edges to one box that do not

Tensor: TypeAlias = tuple[str, int]
"""What runs along edges: the box that gives it, and which output it is. Edges of one tensor share their way."""
End: TypeAlias = "str | Tensor"
"""Where an edge begins or ends within a level: a box, or the port of a tensor."""


class Cell(NamedTuple):
    """A place in a row: ``box``, the port ``in`` or ``out``, or ``line``, where an edge passes between boxes."""

    kind: str
    box: str = ""
    """The id of the box; of ports and lines, that of the tensor's source."""
    output: int = 0


class Strand(NamedTuple):
    """A piece of an edge between neighboring rows; cells by number."""

    upper: int
    lower: int
    tensor: Tensor


class Level(NamedTuple):
    """The plan of one group."""

    cells: list[Cell]
    rows: list[list[int]]
    """Cells by number, from left to right."""
    strands: list[Strand]
    routes: dict[int, list[int]]
    """The strands, from the top down, of each edge of the picture that passes."""
    above: list[int]
    """For each cell the strand that runs straight into it, -1 where none does."""
    starts: list[list[Tensor]]
    """For each cell the tensors that leave it, from left to right."""
    arrivals: list[list[int]]
    """For each cell the strands that come into it, from left to right."""


Plan: TypeAlias = dict[str, Level]
"""The level of each group by its id; that of the picture under ""."""


def plan(picture: Picture) -> Plan:
    """Return the plan of every group of a picture."""
    passing = _passing(picture)
    return {parent: _Planner(boxes, passing.get(parent, [])).level() for parent, boxes in picture.children().items()}


class _Passage(NamedTuple):
    """One edge within one level."""

    edge: int
    start: End
    end: End
    tensor: Tensor


def _passing(picture: Picture) -> dict[str, list[_Passage]]:
    """Return the edges that pass each level, in order."""
    around = {box.id: box.parent for box in picture.boxes}
    found: dict[str, list[_Passage]] = {}
    for number, edge in enumerate(picture.edges):
        tensor = (edge.source, edge.output)
        outward, inward = _ancestors(edge.source, around), _ancestors(edge.target, around)
        while len(outward) > 1 and len(inward) > 1 and outward[-2] == inward[-2]:
            outward.pop()
            inward.pop()
        for inner, parent in itertools.pairwise(outward[:-1]):
            found.setdefault(parent, []).append(_Passage(number, inner, tensor, tensor))
        found.setdefault(outward[-1], []).append(_Passage(number, outward[-2], inward[-2], tensor))
        for inner, parent in itertools.pairwise(inward[:-1]):
            found.setdefault(parent, []).append(_Passage(number, tensor, inner, tensor))
    return found


def _ancestors(box: str, around: dict[str, str]) -> list[str]:
    """Return a box, the groups around it from within, and ""."""
    found = [box]
    while box:
        box = around[box]
        found.append(box)
    return found


class _Planner:
    """One level under way."""

    def __init__(self, boxes: Sequence[Box], passages: list[_Passage]) -> None:
        self.boxes = [box.id for box in boxes]
        self.groups = {box.id for box in boxes if box.group}
        self.passages = passages
        self.cells: list[Cell] = []
        self.rows: list[list[int]] = []
        self.strands: list[Strand] = []
        self.routes: dict[int, list[int]] = {}

    def level(self) -> Level:
        """Return the plan."""
        self._connect(self._place(self._ranks()))
        self.upper: list[list[int]] = [[] for _ in self.cells]
        self.lower: list[list[int]] = [[] for _ in self.cells]
        for strand in self.strands:
            self.upper[strand.lower].append(strand.upper)
            self.lower[strand.upper].append(strand.lower)
        self._order()
        position = self._positions(self.rows)
        arrivals: list[list[int]] = [[] for _ in self.cells]
        leaving: list[dict[Tensor, list[int]]] = [{} for _ in self.cells]
        for number, strand in enumerate(self.strands):
            arrivals[strand.lower].append(number)
            leaving[strand.upper].setdefault(strand.tensor, []).append(position[strand.lower])
        for each in arrivals:
            each.sort(key=lambda number: position[self.strands[number].upper])
        starts = [sorted(held, key=lambda tensor, held=held: sum(held[tensor]) / len(held[tensor])) for held in leaving]  # type: ignore[misc]
        return Level(self.cells, self.rows, self.strands, self.routes, self._aligned(position), starts, arrivals)

    def _ranks(self) -> dict[str, int]:
        """Return the row of each box: below all it takes from; what begins beside the rest comes as late as it can."""
        if not self.passages:  # nothing is known of the order but that of the boxes
            return {box: number for number, box in enumerate(self.boxes, 1)}
        before: dict[str, set[str]] = {box: set() for box in self.boxes}
        after: dict[str, set[str]] = {box: set() for box in self.boxes}
        fed = set()
        for passage in self.passages:
            if not isinstance(passage.end, str):
                continue
            if isinstance(passage.start, str):
                before[passage.end].add(passage.start)
                after[passage.start].add(passage.end)
            else:
                fed.add(passage.end)
        late = set()
        rank: dict[str, int] = {}
        for box in self.boxes:
            rank[box] = 1 + max((rank[each] for each in before[box]), default=0)
            if box not in fed and all(each in late and len(after[each]) == 1 for each in before[box]):
                late.add(box)
        for box in reversed(self.boxes):
            if box in late and after[box]:
                rank[box] = min(rank[each] for each in after[box]) - 1
        return rank

    def _place(self, rank: dict[str, int]) -> dict[End, int]:
        """Make the cells of boxes and ports, and return them by the end that they are; out ports by their negative numbers."""
        last = max(rank.values(), default=0) + 1
        self.rows = [[] for _ in range(last + 1)]
        numbers: dict[End, int] = {}
        self.exits: dict[End, int] = {}
        for passage in self.passages:
            if not isinstance(passage.start, str) and passage.start not in numbers:
                numbers[passage.start] = self._cell(Cell("in", *passage.start), 0)
        for box in self.boxes:
            numbers[box] = self._cell(Cell("box", box), rank[box])
        for passage in self.passages:
            if not isinstance(passage.end, str) and passage.end not in self.exits:
                self.exits[passage.end] = self._cell(Cell("out", *passage.end), last)
        return numbers

    def _cell(self, cell: Cell, row: int) -> int:
        self.rows[row].append(len(self.cells))
        self.cells.append(cell)
        return len(self.cells) - 1

    def _connect(self, numbers: dict[End, int]) -> None:
        """Make the strands of each edge, and the cells where it passes; edges of one tensor share both."""
        row_of = {cell: row for row, cells in enumerate(self.rows) for cell in cells}
        lines: dict[tuple[End, int], int] = {}
        shared: dict[Strand, int] = {}
        buses = self._buses(numbers, row_of)
        for edge, start, end, tensor in self.passages:
            first = here = numbers[start]
            last = numbers[end] if isinstance(end, str) else self.exits[end]
            way: Tensor = ("", last) if last in buses else tensor  # what shares its lines
            own_arrival = isinstance(end, str) and end not in self.groups  # of a tensor that a layer takes twice
            route = []
            for row in range(row_of[first] + 1, row_of[last] + 1):
                following = last
                if row < row_of[last]:
                    following = lines.get((way, row), -1)
                    if following < 0:
                        following = lines[way, row] = self._cell(Cell("line", *way), row)
                strand = Strand(here, following, tensor if here == first else way)
                number = -1 if following == last and own_arrival else shared.get(strand, -1)
                if number < 0:
                    number = shared[strand] = len(self.strands)
                    self.strands.append(strand)
                route.append(number)
                here = following
            self.routes[edge] = route

    def _buses(self, numbers: dict[End, int], row_of: dict[int, int]) -> set[int]:
        """Return the cells that what goes to them shares lines to, as there would be too many: a thousand layers joined."""
        last = [numbers[end] if isinstance(end, str) else self.exits[end] for _, _, end, _ in self.passages]
        longest: dict[Tensor, int] = {}
        coming: dict[int, int] = {}
        for passage, end in zip(self.passages, last, strict=True):
            rows = row_of[end] - row_of[numbers[passage.start]]
            longest[passage.tensor] = max(rows, longest.get(passage.tensor, 0))
            coming[end] = coming.get(end, 0) + 1
        if sum(longest.values()) <= MOST_LINES + 8 * len(self.boxes):
            return set()
        return {end for end, count in coming.items() if count > MOST_APART}

    # The order in rows

    def _order(self) -> None:
        """Order the rows so that few strands cross: as a walk meets the cells, then by the mean place of their neighbors."""
        self._measure()
        self.trunk_below = [_only_largest(cells, self.high) for cells in self.lower]
        self.trunk_above = [_only_largest(cells, self.deep) for cells in self.upper]
        self._walk()
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(SWEEPS if fewest else 0):
            down = sweep % 2 == 0
            position = self._positions(self.rows)
            for row in self.rows if down else reversed(self.rows):
                sides = self.upper if down else self.lower
                key = {
                    cell: sum(position[n] for n in sides[cell]) / len(sides[cell]) if sides[cell] else position[cell]
                    for cell in row
                }
                row.sort(key=key.__getitem__)
                for number, cell in enumerate(row):
                    position[cell] = number
            count = self._crossings()
            if count < fewest:
                best, fewest = [list(row) for row in self.rows], count
            if not fewest:
                break
        self.rows = best

    def _measure(self) -> None:
        """Note of every cell how long the longest ways to and from it are; ``line`` cells count nothing themselves."""
        boxes = [cell.kind == "box" for cell in self.cells]
        self.deep, self.high = [0] * len(boxes), [0] * len(boxes)
        for row in self.rows:
            for cell in row:
                self.deep[cell] = boxes[cell] + max((self.deep[each] for each in self.upper[cell]), default=0)
        for row in reversed(self.rows):
            for cell in row:
                self.high[cell] = boxes[cell] + max((self.high[each] for each in self.lower[cell]), default=0)

    def _walk(self) -> None:
        """Order the rows as a walk down from each beginning meets the cells: the longest way first, others to its right."""
        met: list[list[int]] = [[] for _ in self.rows]
        row_of = {cell: row for row, cells in enumerate(self.rows) for cell in cells}
        seen: set[int] = set()
        stack = [cell for row in reversed(self.rows) for cell in reversed(row) if not self.upper[cell]]
        while stack:
            cell = stack.pop()
            if cell in seen:
                continue
            seen.add(cell)
            met[row_of[cell]].append(cell)
            following = self.lower[cell]
            trunk = self.trunk_below[cell]
            stack += [each for each in reversed(following) if each != trunk]
            stack += [trunk] if trunk is not None else []
        self.rows = met

    def _positions(self, rows: list[list[int]]) -> list[int]:
        position = [0] * len(self.cells)
        for row in rows:
            for number, cell in enumerate(row):
                position[cell] = number
        return position

    def _crossings(self) -> int:
        """Return how many pairs of strands cross."""
        position = self._positions(self.rows)
        total = 0
        for row in self.rows:
            seen: list[int] = []
            for cell in row:
                ends = sorted(position[each] for each in self.lower[cell])
                total += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
                for end in ends:
                    bisect.insort(seen, end)
        return total

    # What is straight

    def _aligned(self, position: list[int]) -> list[int]:
        """Return for each cell the strand that runs straight into it, none of which cross: first those of the trunk."""
        taken: dict[int, list[tuple[int, int]]] = {}  # by row of the upper end: places of both ends, sorted
        row_of = {cell: row for row, cells in enumerate(self.rows) for cell in cells}
        above = [-1] * len(self.cells)
        self.alone_below = [len(set(cells)) == 1 for cells in self.lower]
        self.alone_above = [len(set(cells)) == 1 for cells in self.upper]
        used: set[int] = set()
        for wanted in (self._is_trunk, self._is_line, self._is_alone):
            for number, strand in enumerate(self.strands):
                if strand.upper in used or above[strand.lower] >= 0 or not wanted(strand):
                    continue
                pairs = taken.setdefault(row_of[strand.upper], [])
                pair = (position[strand.upper], position[strand.lower])
                place = bisect.bisect(pairs, pair)
                if (place and pairs[place - 1][1] > pair[1]) or (place < len(pairs) and pairs[place][1] < pair[1]):
                    continue
                pairs.insert(place, pair)
                used.add(strand.upper)
                above[strand.lower] = number
        return above

    def _is_trunk(self, strand: Strand) -> bool:
        """Return whether the longest way leads over a strand, and no other is as long."""
        return self.trunk_below[strand.upper] == strand.lower and self.trunk_above[strand.lower] == strand.upper

    def _is_line(self, strand: Strand) -> bool:
        return self.cells[strand.upper].kind == self.cells[strand.lower].kind == "line"

    def _is_alone(self, strand: Strand) -> bool:
        return self.alone_below[strand.upper] and self.alone_above[strand.lower]


def _only_largest(cells: Sequence[int], measure: Sequence[int]) -> int | None:
    """Return the cell of the largest measure, None where several have it."""
    largest = max((measure[cell] for cell in cells), default=0)
    found = {cell for cell in cells if measure[cell] == largest}
    return found.pop() if len(found) == 1 else None
