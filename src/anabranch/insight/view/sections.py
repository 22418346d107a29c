"""Sections of a level that has too many boxes to be looked at: neighbors, cut where the fewest tensors pass."""

from __future__ import annotations

import itertools
import math

from anabranch.insight.drawing.picture import Box, Picture

MOST = 150  # boxes of a level that are shown as they are


def with_sections(picture: Picture, most: int = MOST) -> Picture:
    """Return the picture with groups around neighbors in each level of more than ``most`` boxes.

    Args:
        picture: a picture, with repeats or without.
        most: how many boxes of a level are shown as they are.
    """
    around: dict[str, Box] = {}  # the section that begins with a box
    parents: dict[str, str] = {}
    for parent, level in picture.children().items():
        if len(level) <= most:
            continue
        starts = _cuts(_passing(picture, level), math.isqrt(len(level)))
        for start, end in zip(starts, [*starts[1:], len(level)], strict=True):
            if end - start < 2 or end - start == len(level):
                continue
            section = _section(level[start:end], parent)
            around[level[start].id] = section
            parents |= dict.fromkeys((box.id for box in level[start:end]), section.id)
    if not around:
        return picture
    boxes: list[Box] = []
    for box in picture.boxes:
        if box.id in around:
            boxes.append(around[box.id])
        boxes.append(box._replace(parent=parents.get(box.id, box.parent)))
    return picture._replace(boxes=boxes)


def _passing(picture: Picture, level: list[Box]) -> list[int]:
    """Return how many tensors pass before each box of a level."""
    parent = {box.id: box.parent for box in picture.boxes}
    position = {box.id: number for number, box in enumerate(level)}

    def place(box: str) -> int | None:
        while box and box not in position:
            box = parent[box]
        return position.get(box)

    last: dict[tuple[str, int], tuple[int, int]] = {}  # where each tensor begins, and where it is last taken
    for edge in picture.edges:
        source, target = place(edge.source), place(edge.target)
        if target is not None and source != target:
            begin = -1 if source is None else source
            key = edge.source, edge.output
            last[key] = begin, max(target, last.get(key, (begin, target))[1])
    change = [0] * (len(level) + 2)
    for begin, end in last.values():
        change[begin + 1] += 1
        change[end + 1] -= 1
    count, found = 0, []
    for each in change[: len(level)]:
        count += each
        found.append(count)
    return found


def _cuts(passing: list[int], length: int) -> list[int]:
    """Return where sections of about ``length`` boxes begin: each where the fewest tensors pass, within half a length."""
    starts = [0]
    while len(passing) - starts[-1] > 1.5 * length:
        wanted = starts[-1] + length
        places = range(max(starts[-1] + 2, wanted - length // 2), min(len(passing) - 1, wanted + length // 2) + 1)
        starts.append(min(places, key=lambda place: (passing[place], abs(place - wanted))))
    return starts


def _section(boxes: list[Box], parent: str) -> Box:
    """Return the group of some boxes, by what their names begin with, else by the first and the last."""
    names = [box.id if box.role == "repeat" else box.name for box in boxes]
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    prefix = "".join(letter for letter, _ in shared)
    prefix = prefix[: max(prefix.rfind("_"), prefix.rfind("."), prefix.rfind("/"), 0)]
    params = [box.params for box in boxes]
    total = None if None in params else sum(filter(None, params))
    name = prefix or f"{names[0]} … {names[-1]}"
    return Box(f"{boxes[0].id} … {boxes[-1].id}", parent, "", name, "section", "block", params=total, group=True)
