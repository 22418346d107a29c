"""A drawing as shapes, which SVG and PDF are written from: boxes sized by their texts, placed by the layout, styled by name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from anabranch.graph import Shape
from anabranch.insight.drawing.layout import Direction, Layout, layout
from anabranch.insight.drawing.letters import width_of
from anabranch.insight.drawing.looks import family
from anabranch.insight.drawing.picture import Box, Picture
from anabranch.insight.drawing.placing import Rect, Size

MARGIN = 16.0
LARGE, SMALL = 13.0, 11.0  # sizes of letters
LEADING = 1.35
SIDE, ABOVE = 12.0, 7.0  # between a box's text and its border
Splines: TypeAlias = Literal["ortho", "curved", "spline", "line", "polyline"]
"""How lines turn: at right angles, as curves, as slanted lines."""
CORNER = 7.0  # radius at which lines turn
UNKNOWN_ORDER = ("The layers of a model that writes", "its own call: what goes where", "is known to that call alone.")


class Shown(NamedTuple):
    """What is written in boxes."""

    shapes: bool = True
    dtypes: bool = False
    names: bool = True
    activations: bool = True
    trainable: bool = False
    params: bool = False


class Word(NamedTuple):
    """A text of one size and weight."""

    text: str
    size: float = SMALL
    bold: bool = False
    style: str = "muted"
    before: float = 0.0
    """Space before it."""

    @property
    def width(self) -> float:
        """How wide it is, with the space before it."""
        return self.before + width_of(self.text, self.size, self.bold)


class Text(NamedTuple):
    """A line of text by the left end of its base line."""

    x: float
    y: float
    word: Word


class Path(NamedTuple):
    """A line or a closed outline, in the commands of SVG's paths M, L, C and Z."""

    style: str
    commands: list[tuple[str, tuple[float, ...]]]


class Frame(NamedTuple):
    """A rectangle with round corners and the texts in it."""

    style: str
    rect: Rect
    radius: float
    texts: list[Text]
    title: str
    """What a pointer over it shows."""
    id: str = ""
    """That of the box."""


class Scene(NamedTuple):
    """All shapes, from the back to the front."""

    name: str
    label: str
    width: float
    height: float
    groups: list[Frame]
    lines: list[Path]
    boxes: list[Frame]
    notes: list[Text]
    """What is said below it."""

    def written(self) -> str:
        """Return all that is written in it."""
        framed = [text for frame in (*self.groups, *self.boxes) for text in frame.texts]
        return "".join(text.word.text for text in framed + self.notes)


def scene(
    picture: Picture, shown: Shown | None = None, rankdir: Direction = "TB", splines: Splines = "ortho",
    marks: Mapping[str, str] | None = None,
) -> Scene:  # fmt: skip
    """Return the shapes of a picture.

    Args:
        picture: what is drawn.
        shown: what is written in boxes.
        rankdir: where the flow goes.
        splines: how lines turn.
        marks: ``"added"``, ``"removed"`` or ``"changed"`` by the ids of boxes, which are framed so.
    """
    marks = marks or {}
    shown = shown or Shown()
    narrow = rankdir in ("LR", "RL")
    ends = {output.source for output in picture.outputs}
    labels = {box.id: title_of(box) if box.group else words_of(box, shown, narrow) for box in picture.boxes}
    sizes = {box.id: _size(labels[box.id], box) for box in picture.boxes}
    placed = layout(picture, sizes, rankdir, splines == "ortho")
    groups, boxes = [], []
    for box in picture.boxes:
        rect = _moved(placed.boxes[box.id])
        if box.group:
            style = f"group of-{box.role} {marks.get(box.id, '')}".rstrip()
            groups.append(Frame(style, rect, 10, _written(labels[box.id], _moved(placed.titles[box.id])), tooltip(box), box.id))
        else:
            style = f"{family(box)}{' end' if box.id in ends else ''} {marks.get(box.id, '')}".rstrip()
            radius = rect.height / 2 if box.role == "input" else 6
            boxes.append(Frame(style, rect, min(radius, 16), _written(labels[box.id], rect), tooltip(box), box.id))
    lines = _lines(picture, placed, splines)
    count = sum(not box.group for box in picture.boxes)
    label = f"{picture.name}: {count} boxes and {len(picture.edges)} edges"
    width, height = placed.width + 2 * MARGIN, placed.height + 2 * MARGIN
    notes = []
    for note in () if picture.ordered else UNKNOWN_ORDER:
        height += SMALL * LEADING
        notes.append(Text(MARGIN, height - MARGIN + 4, Word(note)))
        width = max(width, notes[-1].word.width + 2 * MARGIN)
    return Scene(picture.name, label, width, height, groups, lines, boxes, notes)


# What is written


def words_of(box: Box, shown: Shown, narrow: bool = False) -> list[list[Word]]:
    """Return the lines of a box: what it is, its name and shape (in a narrow box below each other), then the rest."""
    first = [Word(box.kind, LARGE, True, "strong")]
    if shown.activations and box.activation:
        first.append(Word(box.activation, LARGE, False, "strong", 5))
    details = []
    if shown.names and box.role != "function":
        details.append(name_of(box))
    if shown.shapes:
        details.append(_shapes(box.output_shapes))
    rest = []
    if shown.dtypes:
        rest.append(", ".join(dict.fromkeys(box.dtypes)) or "?")
    if shown.params and box.params != 0:
        rest.append("not built" if box.params is None else f"{box.params:,} params")
    if shown.trainable and box.trainable is not None:
        rest.append("trainable" if box.trainable else "frozen")
    joined = " · ".join(details)
    lines = [joined] if not narrow and len(joined) <= 36 else details
    return [first, *([Word(line)] for line in [*lines, " · ".join(rest)] if line)]


def name_of(box: Box) -> str:
    """Return the name, of a shared layer with the call: ``embedding@1 · shared``."""
    shared = box.calls > 1 and box.role != "repeat"
    return f"{box.name}@{box.id.rpartition('@')[2]} · shared" if shared else box.name


def title_of(group: Box) -> list[list[Word]]:
    """Return the title of a group: its name, or how often it repeats."""
    return [[Word(name_of(group), LARGE, True, "strong")]]


def tooltip(box: Box) -> str:
    """Return what a pointer over a box shows."""
    lines = [box.path or box.name, box.code or box.kind]
    if box.role == "repeat":
        lines = [f"{box.calls} equal blocks, one after the other; the first is drawn"]
    if box.output_shapes:
        given = f"{_shapes(box.input_shapes)} → " if box.input_shapes else ""
        lines.append(f"{given}{_shapes(box.output_shapes)} {', '.join(dict.fromkeys(box.dtypes))}")
    if box.params:
        frozen = ", frozen" if box.trainable is False else ""
        lines.append(f"{box.params:,} parameters{frozen}")
    return "\n".join([*lines, *([box.site] if box.site else ())])


def _shapes(shapes: Sequence[Shape]) -> str:
    different = list(dict.fromkeys(map(str, shapes)))
    if len(different) == 1 and len(shapes) > 1:
        return f"{len(shapes)} × {different[0]}"
    return ", ".join(map(str, shapes)) or "?"


def _size(lines: list[list[Word]], box: Box) -> Size:
    width = max(sum(word.width for word in line) for line in lines)
    height = sum(_height(line) for line in lines)
    if box.group:
        return Size(width, height)
    side = SIDE + (6 if box.role == "input" else 0)
    return Size(round(width + 2 * side, 1), round(height + 2 * ABOVE, 1))


def _height(line: list[Word]) -> float:
    return max(word.size for word in line) * LEADING


def _written(lines: list[list[Word]], rect: Rect) -> list[Text]:
    """Return the lines, in the middle of a rectangle."""
    texts = []
    y = rect.y + (rect.height - sum(map(_height, lines))) / 2
    for line in lines:
        size = max(word.size for word in line)
        x = rect.x + (rect.width - sum(word.width for word in line)) / 2
        base = y + (_height(line) + size * 0.72) / 2
        for word in line:
            x += word.before
            texts.append(Text(round(x, 2), round(base, 2), word))
            x += word.width - word.before
        y += _height(line)
    return texts


def _moved(rect: Rect) -> Rect:
    return rect._replace(x=rect.x + MARGIN, y=rect.y + MARGIN)


# Lines


def _lines(picture: Picture, placed: Layout, splines: Splines) -> list[Path]:
    """Return the lines, each once, and the heads of their arrows."""
    sideways = placed.rankdir in ("LR", "RL")
    sign = -1 if placed.rankdir in ("BT", "RL") else 1
    lines: dict[str, Path] = {}
    heads: dict[tuple[float, float], Path] = {}
    for number, passes, points in placed.lines:
        moved = [(round(x + MARGIN, 1), round(y + MARGIN, 1)) for x, y in points]
        style = ("skip" if passes else "edge") + (" masked" if picture.edges[number].masked else "")
        x, y = moved[-1]
        back = 7 * sign
        wings = [(x - back, y - 3.5), (x - back, y + 3.5)] if sideways else [(x - 3.5, y - back), (x + 3.5, y - back)]
        moved[-1] = (x - 5 * sign, y) if sideways else (x, y - 5 * sign)
        path = Path(style, _commands(moved, sideways, splines))
        lines.setdefault(repr(path.commands), path)
        heads[x, y] = Path(f"head {'skip' if passes else 'edge'}", [("M", (x, y)), *(("L", wing) for wing in wings), ("Z", ())])
    return sorted([*lines.values()], key=lambda path: "skip" not in path.style) + list(heads.values())


def _commands(points: list[tuple[float, float]], sideways: bool, splines: Splines) -> list[tuple[str, tuple[float, ...]]]:
    """Return a line as commands: right angles with round corners, curves that leave and arrive along the flow, or straight."""
    found: list[tuple[str, tuple[float, ...]]] = [("M", points[0])]
    for number, (here, there) in enumerate(itertools.pairwise(points)):
        if splines == "ortho":
            following = points[number + 2] if number + 2 < len(points) else None
            found += _corner(here, there, following)
        elif here[0] == there[0] or here[1] == there[1] or splines in ("line", "polyline"):
            found.append(("L", there))
        elif sideways:
            middle = (here[0] + there[0]) / 2
            found.append(("C", (middle, here[1], middle, there[1], *there)))
        else:
            middle = (here[1] + there[1]) / 2
            found.append(("C", (here[0], middle, there[0], middle, *there)))
    return found


def _corner(
    here: tuple[float, float], corner: tuple[float, float], there: tuple[float, float] | None
) -> list[tuple[str, tuple[float, ...]]]:
    """Return the line to a corner, and the round turn there."""
    if there is None:
        return [("L", corner)]
    before, after = _length(here, corner), _length(corner, there)
    radius = min(CORNER, before / 2, after / 2)
    if radius < 0.5:
        return [("L", corner)]
    start = _towards(corner, here, radius / before)
    end = _towards(corner, there, radius / after)
    return [("L", start), ("C", (*_towards(start, corner, 0.55), *_towards(end, corner, 0.55), *end))]


def _length(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(a: tuple[float, float], b: tuple[float, float], part: float) -> tuple[float, float]:
    return (round(a[0] + (b[0] - a[0]) * part, 1), round(a[1] + (b[1] - a[1]) * part, 1))
