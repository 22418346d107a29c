"""One level of a picture with its coordinates: across (in a row) and along (from row to row) the flow, from its own corner.

What runs straight (the trunk, the long part of a skip) is one block that moves as a whole; blocks are spread as little as their
sizes allow and drawn to what they are connected to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

from anabranch.insight.drawing.plan import Level, Strand, Tensor

GAP = 26.0  # between rows
SLOPE = 0.12  # of the way across that lengthens the gap, so that curves stay readable
MOST_SLOPE = 40.0
APART = {"box": 24.0, "line": 14.0}  # between boxes; between lines, and lines and boxes
PORT = 16.0  # between two ends at one box
PADDING = 12.0
ARROW = 8.0  # of a gap that lines run straight in, for the head of an arrow
TRACK = 9.0  # between lines that run across in one gap
MOST_TRACKS = 24  # beyond which lines share them, as nobody follows one among so many
PASSES = 40


class Rect(NamedTuple):
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Size(NamedTuple):
    """Width and height: of a box, or of the title of a group."""

    width: float
    height: float


class Placed(NamedTuple):
    """A level by itself, across and along the flow, from its own corner; ``offsets`` are from the middle of a cell."""

    across: float
    along: float
    middles: list[float]
    """Of each cell, across."""
    breadths: list[float]
    """Of each cell, across."""
    lengths: list[float]
    """Of each cell, along."""
    tops: list[float]
    """Where each row begins."""
    ends: list[float]
    """Where each row ends."""
    starts: list[dict[Tensor, float]]
    """For each cell the offsets of what leaves it."""
    arrivals: dict[int, float]
    """The offset at which each strand arrives."""
    tracks: dict[int, float]
    """Of each strand that goes across: how far below the end of its row it does so, where it turns at right angles."""
    ports: dict[tuple[str, Tensor], float]
    """The ports of the level's group, across, from its middle: ``("in", tensor)`` and ``("out", tensor)``."""
    title: Rect
    """Across, along, and the size in these."""


class Placing:
    """One level under way."""

    def __init__(self, level: Level, sizes: Mapping[str, Size], inner: Mapping[str, Placed], rankdir: str) -> None:
        self.level = level
        self.rankdir = rankdir
        self.sideways = rankdir in ("LR", "RL")
        self.inner = inner
        self.breadths, self.lengths = [], []
        for cell in level.cells:
            across, along = self._size(cell.box, sizes) if cell.kind == "box" else (0.0, 0.0)
            self.breadths.append(across)
            self.lengths.append(along)
        self.straight = dict.fromkeys((level.strands[n].upper for n in level.above if n >= 0), ("", 0))
        for number in level.above:
            if number >= 0:
                self.straight[level.strands[number].upper] = level.strands[number].tensor
        self.starts = [self._starts(number) for number in range(len(level.cells))]
        self.arrivals: dict[int, float] = {}
        for number in range(len(level.cells)):
            self.arrivals |= self._arrivals(number)

    def _size(self, box: str, sizes: Mapping[str, Size]) -> tuple[float, float]:
        if box in self.inner:
            return self.inner[box].across, self.inner[box].along
        size = sizes[box]
        return (size.height, size.width) if self.sideways else (size.width, size.height)

    def _starts(self, number: int) -> dict[Tensor, float]:
        """Return how far from the middle of a cell each tensor leaves it."""
        cell, tensors = self.level.cells[number], self.level.starts[number]
        if cell.box in self.inner and cell.kind == "box":
            return {tensor: self.inner[cell.box].ports["out", tensor] for tensor in tensors}
        straight = self.straight.get(number)
        fixed = tensors.index(straight) if straight in tensors else None
        return dict(zip(tensors, self._spread(len(tensors), fixed, self.breadths[number]), strict=True))

    def _arrivals(self, number: int) -> dict[int, float]:
        """Return how far from the middle of a cell each strand arrives."""
        cell, strands = self.level.cells[number], self.level.arrivals[number]
        if cell.box in self.inner and cell.kind == "box":
            return {each: self.inner[cell.box].ports["in", self.level.strands[each].tensor] for each in strands}
        above = self.level.above[number]
        fixed = strands.index(above) if above >= 0 else None
        return dict(zip(strands, self._spread(len(strands), fixed, self.breadths[number]), strict=True))

    @staticmethod
    def _spread(count: int, fixed: int | None, breadth: float) -> list[float]:
        """Return places beside each other, of which ``fixed`` is in the middle, else all are around it."""
        middle = (count - 1) / 2 if fixed is None else fixed
        widest = max(middle, count - 1 - middle)
        step = min(PORT, max(breadth / 2 - 8, 0) / widest) if widest else 0.0
        return [(number - middle) * step for number in range(count)]

    def result(self, title: Size | None) -> Placed:
        """Return the level with its coordinates, and room for a group's title and border unless ``title`` is None."""
        middles = self._middles()
        left = min((m - b / 2 for m, b in zip(middles, self.breadths, strict=True)), default=0.0)
        right = max((m + b / 2 for m, b in zip(middles, self.breadths, strict=True)), default=0.0)
        before, after, head, tail, place = self._frame(title, middles, left, right)
        tops, ends = self._rows(middles, head, tail)
        across, along = before + right - left + after, ends[-1] if title is not None else tops[-1]
        if title is not None and self.sideways:
            along = max(along, title.width + 2 * PADDING)
            ends[-1] = along
        shift = before - left
        middles = [middle + shift for middle in middles]
        ports = {
            (cell.kind, (cell.box, cell.output)): middle - across / 2
            for cell, middle in zip(self.level.cells, middles, strict=True)
            if cell.kind in ("in", "out")
        }
        rect = Rect(0, 0, 0, 0)
        if title is not None:
            size = (title.height, title.width) if self.sideways else (title.width, title.height)
            far = along - PADDING - size[1]
            start = {"TB": PADDING / 2, "LR": PADDING, "BT": far + PADDING / 2, "RL": far}[self.rankdir]
            side = PADDING / 2 if self.sideways else PADDING if place == "left" else across - PADDING - size[0]
            rect = Rect(side, start, *size)
        return Placed(
            across,
            along,
            middles,
            self.breadths,
            self.lengths,
            tops,
            ends,
            self.starts,
            self.arrivals,
            self.tracks,
            ports,
            rect,
        )

    def _frame(
        self, title: Size | None, middles: list[float], left: float, right: float
    ) -> tuple[float, float, float, float, str]:
        """Return the room around: before and after across, at the head and the tail along, and on which side the title is."""
        if title is None:
            return 0.0, 0.0, 0.0, 0.0, ""
        band = title.height + PADDING
        if self.sideways:
            return band + PADDING / 2, PADDING, PADDING, PADDING, "left"
        kind = "in" if self.rankdir == "TB" else "out"
        ports = [middle for cell, middle in zip(self.level.cells, middles, strict=True) if cell.kind == kind]
        room = title.width + 2 * PADDING
        before = after = PADDING
        place = "left"
        if ports:
            lacking_left = room - (min(ports) - left)
            lacking_right = room - (right - max(ports))
            if lacking_left <= lacking_right:
                before = max(PADDING, lacking_left)
            else:
                after, place = max(PADDING, lacking_right), "right"
        after = max(after, room - before - (right - left))
        return before, after, *((band, PADDING) if self.rankdir == "TB" else (PADDING, band)), place

    def _rows(self, middles: list[float], head: float, tail: float) -> tuple[list[float], list[float]]:
        """Return where rows begin and end; gaps grow with how far lines go across in them, and with their number."""
        spans: list[dict[int, tuple[float, float]]] = [{} for _ in self.level.rows]
        row_of = {cell: row for row, cells in enumerate(self.level.rows) for cell in cells}
        for number, strand in enumerate(self.level.strands):
            start, end = self._ends(middles, number, strand)
            if abs(start - end) > 0.01:
                spans[row_of[strand.upper]][number] = (start, end)
        tops, ends = [], []
        here = 0.0
        last = len(self.level.rows) - 1
        self.tracks: dict[int, float] = {}
        for number, row in enumerate(self.level.rows):
            length = head if number == 0 else tail if number == last else max((self.lengths[cell] for cell in row), default=0.0)
            tops.append(here)
            ends.append(here + length)
            here += length
            if (number == 0 and not row) or (number == last - 1 and not self.level.rows[last]):
                continue  # the border of all
            across = spans[number]
            tracks = self._in_tracks(across)
            count = 1 + max(tracks.values(), default=0)
            widest = max((abs(a - b) for a, b in across.values()), default=0.0)
            gap = max(GAP + min(MOST_SLOPE, SLOPE * widest), ARROW + (count + 1) * TRACK)
            self.tracks |= {strand: (gap - ARROW) * (track + 1) / (count + 1) for strand, track in tracks.items()}
            here += gap
        return tops, ends

    def _in_tracks(self, spans: dict[int, tuple[float, float]]) -> dict[int, int]:
        """Return the track of each strand that goes across in one gap: those that overlap, of other tensors, have others."""
        strands = self.level.strands
        tracks: dict[int, int] = {}
        shared: dict[tuple[int, Tensor], list[int]] = {}
        for number in spans:
            shared.setdefault((strands[number].upper, strands[number].tensor), []).append(number)
        taken: list[list[tuple[float, float]]] = []
        turn = 0
        # a line that arrives where another leaves is to turn first, so the ones that turn to the side of their arrival go first
        ordered = sorted(shared.values(), key=lambda held: _turning(spans[held[0]]))
        for held in ordered:
            places = [place for number in held for place in spans[number]]
            low, high = min(places) - 4, max(places) + 4
            free = (t for t, row in enumerate(taken) if all(high < a or b < low for a, b in reversed(row)))
            track = next(free, len(taken))
            if track == MOST_TRACKS:
                track = (turn := turn + 1) % MOST_TRACKS
            elif track == len(taken):
                taken.append([])
            taken[track].append((low, high))
            tracks |= dict.fromkeys(held, track)
        return tracks

    def _ends(self, middles: list[float], number: int, strand: Strand) -> tuple[float, float]:
        """Return where a strand begins and ends across."""
        return (
            middles[strand.upper] + self.starts[strand.upper][strand.tensor],
            middles[strand.lower] + self.arrivals[number],
        )

    # Across

    def _middles(self) -> list[float]:
        """Return the middle of each cell across."""
        self._make_blocks()
        self._keep_apart()
        places = self._spread_out()
        self._draw_together(places)
        return [places[block] + within for block, within in zip(self.block, self.within, strict=True)]

    def _make_blocks(self) -> None:
        """Give each cell the block it is in, with how far it is from the block's place."""
        level = self.level
        self.block = [-1] * len(level.cells)
        self.within = [0.0] * len(level.cells)
        count = 0
        for row in level.rows:
            for cell in row:
                number = level.above[cell]
                if number < 0:
                    self.block[cell] = count
                    count += 1
                    continue
                strand = level.strands[number]
                self.block[cell] = self.block[strand.upper]
                start = self.starts[strand.upper][strand.tensor]
                self.within[cell] = self.within[strand.upper] + start - self.arrivals[number]
        self.count = count

    def _keep_apart(self) -> None:
        """Note how far apart blocks must be: to the left and right of each, the other and the distance."""
        least: dict[tuple[int, int], float] = {}
        for row in self.level.rows:
            for a, b in itertools.pairwise(row):
                kinds = {self.level.cells[a].kind, self.level.cells[b].kind}
                gap = APART["box"] if kinds == {"box"} else APART["line"]
                distance = (self.breadths[a] + self.breadths[b]) / 2 + gap + self.within[a] - self.within[b]
                pair = self.block[a], self.block[b]
                least[pair] = max(distance, least.get(pair, distance))
        self.left: list[list[tuple[int, float]]] = [[] for _ in range(self.count)]
        self.right: list[list[tuple[int, float]]] = [[] for _ in range(self.count)]
        for (a, b), distance in least.items():
            self.right[a].append((b, distance))
            self.left[b].append((a, distance))
        waiting = [len(self.left[block]) for block in range(self.count)]
        self.order = [block for block in range(self.count) if not waiting[block]]
        for block in self.order:  # grows
            for other, _ in self.right[block]:
                waiting[other] -= 1
                if not waiting[other]:
                    self.order.append(other)

    def _spread_out(self) -> list[float]:
        """Return places for the blocks, halfway between as far left and as far right as they can be."""
        leftmost, rightmost = [0.0] * self.count, [0.0] * self.count
        for block in self.order:
            leftmost[block] = max((leftmost[other] + distance for other, distance in self.left[block]), default=0.0)
        most = max(leftmost, default=0.0)
        for block in reversed(self.order):
            rightmost[block] = min((rightmost[other] - distance for other, distance in self.right[block]), default=most)
        return [(a + b) / 2 for a, b in zip(leftmost, rightmost, strict=True)]

    def _draw_together(self, places: list[float]) -> None:
        """Move each block towards the mean of what it is connected to, as far as its neighbors let it, until all rest."""
        pulls: list[list[tuple[int, float, float]]] = [[] for _ in range(self.count)]
        kinds = [cell.kind for cell in self.level.cells]
        for number, (upper, lower, tensor) in enumerate(self.level.strands):
            a, b = self.block[upper], self.block[lower]
            if a != b:
                way = self.within[upper] + self.starts[upper][tensor] - self.within[lower] - self.arrivals[number]
                weight = 0.1 if "line" in (kinds[upper], kinds[lower]) else 1.0
                pulls[a].append((b, -way, weight))
                pulls[b].append((a, way, weight))
        for number in range(PASSES):
            moved = 0.0
            for block in self.order if number % 2 else reversed(self.order):
                if not pulls[block]:
                    continue
                weights = sum(weight for _, _, weight in pulls[block])
                wanted = sum(weight * (places[other] + way) for other, way, weight in pulls[block]) / weights
                least = max((places[other] + distance for other, distance in self.left[block]), default=wanted)
                most = min((places[other] - distance for other, distance in self.right[block]), default=wanted)
                new = min(max(wanted, least), most) if least <= most else places[block]
                moved = max(moved, abs(new - places[block]))
                places[block] = new
            if moved < 0.5:
                break


def _turning(span: tuple[float, float]) -> tuple[bool, float]:
    """Return what orders the lines of a gap: to the right from the rightmost on, then to the left from the leftmost on."""
    start, end = span
    return (end < start, -start if end > start else start)
