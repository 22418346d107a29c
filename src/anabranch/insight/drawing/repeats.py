"""Blocks of a picture that repeat, one after the other: found, and drawn as one block with ``×9``.

A block is a run of neighbors, in the order of the boxes, that equals the run after it: the same layers with the same settings
and shapes, connected in the same way; what comes from outside (a mask that every block takes) may be the same for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import eq
from typing import NamedTuple

from anabranch.insight.drawing.picture import Box, Edge, Picture

LONGEST = 128  # boxes of a block
SAVED = 8  # boxes that a repeat must save to be worth a frame


class Run(NamedTuple):
    """Equal blocks among the boxes of one level: where the first begins, boxes in a block, how many blocks."""

    start: int
    period: int
    times: int

    @property
    def saved(self) -> int:
        """How many boxes fewer one block has than all."""
        return self.period * (self.times - 1)

    @property
    def end(self) -> int:
        """Where what comes after them begins."""
        return self.start + self.period * self.times


def with_repeats(picture: Picture, saved: int = SAVED) -> Picture:
    """Return the picture with a group around repeated blocks, in which each block of several boxes is a group as well.

    Args:
        picture: a picture without repeats.
        saved: how many boxes fewer there must be, with one block in the place of all, for a repeat to count.
    """
    around: dict[str, list[Box]] = {}  # what precedes a box: the groups that begin with it
    parents: dict[str, str] = {}
    for parent, level, tokens, wires in _levels(picture):
        weighty = [bool(box.params) for box in level]
        for run in _runs(tokens, wires, weighty, saved):
            _frame(run, parent, level, around, parents)
    boxes: list[Box] = []
    for box in picture.boxes:
        boxes += around.get(box.id, ())
        boxes.append(box._replace(parent=parents.get(box.id, box.parent)))
    return picture._replace(boxes=boxes)


def condensed(picture: Picture) -> Picture:
    """Return the picture with the first of repeated blocks in the place of all, in the frame that says how many they are."""
    boxes: list[Box] = []
    drawn: dict[str, str] = {}  # for the boxes of every block: the box of the first that is drawn in its place
    inner = picture.children()
    parents: dict[str, str] = {}
    for box in picture.boxes:
        if box.id in drawn:
            continue
        boxes.append(box._replace(parent=parents.get(box.parent, box.parent)))
        if box.role != "repeat":
            continue
        first, *others = inner[box.id]
        one = _inside(first, inner)
        if first.role == "block":
            parents[first.id] = box.id
            drawn[first.id] = box.id
        for other in others:
            drawn |= {copy.id: drawn.get(each.id, each.id) for each, copy in zip(one, _inside(other, inner), strict=True)}
    block_of = _blocks(picture)

    def at(name: str) -> str:
        while name in drawn:
            name = drawn[name]
        return name

    edges = [
        edge._replace(source=at(edge.source), target=at(edge.target))
        for edge in picture.edges
        if not _between(block_of.get(edge.source, ()), block_of.get(edge.target, ()))
    ]
    outputs = [output._replace(source=at(output.source)) for output in picture.outputs]
    return picture._replace(boxes=boxes, edges=list(dict.fromkeys(edges)), outputs=outputs)


def _inside(box: Box, children: dict[str, list[Box]]) -> list[Box]:
    """Return a box and all in it, in order."""
    found, stack = [], [box]
    while stack:
        here = stack.pop()
        found.append(here)
        stack += reversed(children.get(here.id, ()))
    return found


def _blocks(picture: Picture) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return for each box the repeats around it, with the block of each that it is in."""
    found: dict[str, tuple[tuple[str, str], ...]] = {"": ()}
    repeats = {box.id for box in picture.boxes if box.role == "repeat"}
    for box in picture.boxes:
        outer = found[box.parent]
        found[box.id] = (*outer, (box.parent, box.id)) if box.parent in repeats else outer
    return found


def _between(source: Sequence[tuple[str, str]], target: Sequence[tuple[str, str]]) -> bool:
    """Return whether an edge leads from one block of a repeat to another."""
    blocks = dict(source)
    return any(blocks.get(repeat, block) != block for repeat, block in target)


def _frame(run: Run, parent: str, level: list[Box], around: dict[str, list[Box]], parents: dict[str, str]) -> None:
    """Put a group around the boxes of a run, and one around each block of several."""
    first = level[run.start]
    name = f"{first.id}×{run.times}"
    params = [box.params for box in level[run.start : run.end]]
    total = None if None in params else sum(p for p in params if p)
    around.setdefault(first.id, []).append(
        Box(name, parent, "", f"×{run.times}", f"×{run.times}", "repeat", params=total, calls=run.times, group=True)
    )
    for number in range(run.times):
        block = level[run.start + number * run.period : run.start + (number + 1) * run.period]
        if run.period > 1:
            inner = f"{name}/{number + 1}"
            title = f"{number + 1} of {run.times}"
            each = None if total is None else sum(box.params or 0 for box in block)
            around.setdefault(block[0].id, []).append(
                Box(inner, name, "", title, "block", "block", params=each, group=True)
            )  # fmt: skip
        parents |= dict.fromkeys((box.id for box in block), inner if run.period > 1 else name)


# Levels: the boxes of one group, what each is, and what goes into it

Wire = tuple[int, int, int, str]
"""Where an input comes from: the position in the level (-1: outside), output, input, and the id of the box."""


def _levels(picture: Picture) -> list[tuple[str, list[Box], list[int], list[list[Wire]]]]:
    """Return for each group its boxes, a number for what each is (equal boxes have equal numbers), and their inputs."""
    children = picture.children()
    around = {box.id: box.parent for box in picture.boxes}
    position = {box.id: number for level in children.values() for number, box in enumerate(level)}
    wires: dict[str, list[Wire]] = {}
    for edge in picture.edges:
        _wire(edge, around, position, wires)
    numbers: dict[object, int] = {}
    kinds: dict[str, int] = {}
    for box in reversed(picture.boxes):  # what is in a group comes after it
        inside = tuple(
            (kinds[each.id], tuple((number - source if source >= 0 else -1, output, into)
                                   for source, output, into, _ in wires.get(each.id, ())))
            for number, each in enumerate(children.get(box.id, ()))
        )  # fmt: skip
        facts = (box.role, box.kind, box.code, box.input_shapes, box.output_shapes, box.dtypes, box.params, box.trainable)
        kinds[box.id] = numbers.setdefault((facts, inside), len(numbers))
    return [
        (parent, level, [kinds[box.id] for box in level], [wires.get(box.id, []) for box in level])
        for parent, level in children.items()
    ]


def _wire(edge: Edge, around: dict[str, str], position: dict[str, int], wires: dict[str, list[Wire]]) -> None:
    """Note an edge at its target, and at each group that it enters on the way."""
    outside, source = [], edge.source
    while source:
        outside.append(source)
        source = around[source]
    siblings = {around[each]: each for each in outside}
    target = edge.target
    while target:
        parent = around[target]
        source = siblings.get(parent, "")
        if source == target:  # the group that both are in
            return
        wires.setdefault(target, []).append((position[source] if source else -1, edge.output, edge.input, edge.source))
        if source:
            return
        target = parent


# Runs


def _runs(tokens: list[int], wires: list[list[Wire]], weighty: list[bool], saved: int) -> list[Run]:
    """Return runs that do not overlap: those first that save most boxes, of these the one with the shortest block."""
    found: list[Run] = []
    inside: dict[int, tuple[int, int]] = {}  # for a position: where the run of shortest blocks around it ends, and their length
    for period in range(1, min(LONGEST, len(tokens) // 2) + 1):
        position = 0
        for same, group in itertools.groupby(map(eq, tokens, tokens[period:])):
            length = len(list(group))
            end, shorter = inside.get(position, (0, 1))
            if same and length >= period and not (position + length + period <= end and period % shorter == 0):
                for start, stop in _alike(position, length, period, wires):
                    found.append(_cut(start, stop, period, wires, weighty))
                    for each in range(start, stop):
                        inside.setdefault(each, (stop, period))
            position += length
    found = [run for run in found if run.saved >= saved]
    found.sort(key=lambda run: (-run.saved, run.period, run.start))
    taken: set[int] = set()
    chosen = []
    for run in found:
        if taken.isdisjoint(range(run.start, run.end)):
            taken.update(range(run.start, run.end))
            chosen.append(run)
    return sorted(chosen)


def _alike(start: int, length: int, period: int, wires: list[list[Wire]]) -> list[tuple[int, int]]:
    """Return where among ``length`` boxes, which equal those a period later, the inputs are alike too: starts and ends."""
    found = []
    position = start
    same_inputs = (_same(wires[number], wires[number + period], period) for number in range(start, start + length))
    for same, group in itertools.groupby(same_inputs):
        count = len(list(group))
        if same and count >= period:
            found.append((position, position + count + period))
        position += count
    return found


def _same(one: list[Wire], other: list[Wire], period: int) -> bool:
    """Return whether a box takes what its copy in the next block takes: from the same distance, or from the same box."""
    return len(one) == len(other) and all(
        a[1:3] == b[1:3] and (a[3] == b[3] or (a[0] >= 0 and b[0] - a[0] == period)) for a, b in zip(one, other, strict=True)
    )


def _cut(start: int, end: int, period: int, wires: list[list[Wire]], weighty: list[bool]) -> Run:
    """Return the blocks of a periodic stretch, which begin where the fewest tensors pass from one to the next.

    Of equal places that before a layer with weights is taken: ReLU ends a block of a ResNet.
    """

    def cost(cut: int) -> tuple[int, bool]:
        passing = {(source, output) for number in range(cut, min(cut + period, end))
                   for source, output, _, _ in wires[number] if cut - period <= source < cut}  # fmt: skip
        return len(passing), not weighty[cut]

    spare = (end - start) % period
    return Run(min(range(start, start + spare + 1), key=cost), period, (end - start) // period)
