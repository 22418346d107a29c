"""Where tensors come from: the steps back to an Input, or of two branches to their fork, one a line. No walk recurses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch.diagnosis.axes import LAST, axis_names
from anabranch.graph.graph import finished

if TYPE_CHECKING:
    from anabranch.graph.graph import Trail
    from anabranch.graph.records import Node, Tensor

WIDTH = 100  # columns of a line
MOST = 8  # remarkable steps of a branch before the middle ones are folded


# Walking back


def behind(ends: Sequence[Tensor]) -> list[Node]:
    """Return the nodes that tensors need, their own included, each after those it needs itself."""
    order: list[Node] = []
    opened: set[Node] = set()
    path: Trail = []

    def enter(tensor: Tensor) -> None:
        if tensor.node not in opened:
            opened.add(tensor.node)
            path.append((tensor.node, iter(tensor.node.inputs)))

    for end in ends:
        enter(end)
        order += finished(path, enter)
    return order


def fork(a: Tensor, b: Tensor) -> Node | None:
    """Return the node at which two branches last were one: their lowest common ancestor; None where there is none."""
    common = set(behind([a])) & set(behind([b]))
    return next((node for node in reversed(behind([a, b])) if node in common), None)


def way(end: Tensor, start: Node | None) -> list[Tensor]:
    """Return the tensors from what ``start`` gives (an Input, where it is None) to ``end``; at merges the first way there."""
    reaching: set[Node] = set()
    if start is not None:
        for node in behind([end]):
            if node is start or any(tensor.node in reaching for tensor in node.inputs):
                reaching.add(node)
    found = [end]
    while found[-1].node is not start and found[-1].node.inputs:
        inputs = found[-1].node.inputs
        found.append(next((tensor for tensor in inputs if tensor.node in reaching), inputs[0]))
    return found[::-1]


def is_channels_first(*ends: Tensor) -> bool:
    """Return whether the nearest layer with a layout behind some tensors has its channels first."""
    for node in reversed(behind(ends)):
        layout = node.operation._axis_layout_()
        if layout is not None:
            return layout == "channels_first"
    return False


# Writing


class Line(NamedTuple):
    """One step: what is at the left, the step, its shape, its line of code, and a mark on what is to be seen there."""

    label: str
    step: str
    shape: str
    site: str
    mark: str


def marks(steps: Sequence[Tensor], watched: Collection[str], skip: dict[str, int], channels_first: bool) -> dict[int, str]:
    """Return what is to be seen at steps: another rank, or a watched axis of another size, but for the first ``skip`` sizes."""
    found: dict[int, list[str]] = {}
    for axis in watched:
        sizes = _sizes(steps, axis, channels_first)
        for place, (index, size) in enumerate(sizes):
            if place >= skip.get(axis, 1):
                before = f"{sizes[place - 1][1]} → " if place else ""
                found.setdefault(index, []).append(f"{axis} {before}{size}")
    for index in range(1, len(steps)):
        before_rank, rank = len(steps[index - 1].shape), len(steps[index].shape)
        if before_rank != rank:
            found.setdefault(index, []).append(f"{before_rank} axes → {rank}")
    return {index: ", ".join(texts) for index, texts in found.items()}


def _sizes(steps: Sequence[Tensor], axis: str, channels_first: bool) -> list[tuple[int, int | None]]:
    """Return the sizes that an axis takes along the way, each where it is first met; steps without the axis are passed over."""
    sizes: list[tuple[int, int | None]] = []
    for index, tensor in enumerate(steps):
        names = axis_names(len(tensor.shape), channels_first)
        known = axis if axis in names else next((name for name in LAST if axis in LAST and name in names), None)
        if known is not None:
            size = tensor.shape[names.index(known)]
            if not sizes or sizes[-1][1] != size:
                sizes.append((index, size))
    return sizes


def _lines(label: str, steps: Sequence[Tensor], marked: dict[int, str], also: Collection[int]) -> list[Line]:
    """Return a line for each step; three and more in a row that are not marked, in ``also``, first or last are folded."""
    remarkable = sorted({*marked, *also})
    if len(remarkable) > MOST:
        remarkable = [*remarkable[: MOST // 2], *remarkable[-(MOST // 2) :]]
    shown = sorted({0, *remarkable, len(steps) - 1})
    lines: list[Line] = []
    before = -1
    for index in shown:
        between = range(before + 1, index)
        if len(between) >= 3:
            lines.append(Line("", f"… {len(between)} more steps", "", "", ""))
        else:
            lines.extend(_line(steps[i], marked.get(i, "")) for i in between)
        lines.append(_line(steps[index], marked.get(index, "")))
        before = index
    return [lines[0]._replace(label=label), *lines[1:]]


def _line(tensor: Tensor, mark: str) -> Line:
    return Line("", tensor.node.operation._error_label_(), str(tensor.shape), str(tensor.node.site), mark)


def _text(lines: Sequence[Line]) -> str:
    labels, steps, shapes = (max(len(line[column]) for line in lines) for column in (0, 1, 2))
    text: list[str] = []
    for line in lines:
        row = f"{line.label:<{labels}}  {line.step:<{steps}}  {line.shape:<{shapes}}  {line.site}".rstrip()
        if line.mark and len(row) + len(line.mark) + 6 <= WIDTH:
            text.append(f"{row}  ← {line.mark}")
        else:
            text.extend([row, f"{'':<{labels}}    ↑ {line.mark}"] if line.mark else [row])
    return "\n".join(text)


def chain(end: Tensor, start: Node | None = None) -> str:
    """Return the steps from ``start``, or an Input, to one tensor; stretches that keep the shape may be folded."""
    steps = way(end, start)
    changed = [i for i in range(1, len(steps)) if steps[i].shape[1:] != steps[i - 1].shape[1:]]
    return _text(_lines("from", steps, marks(steps, (), {}, False), changed))


class Branch(NamedTuple):
    """One branch of a merge: what it is called, and the tensor that it ends in."""

    label: str
    end: Tensor


def branches(one: Branch, other: Branch, watched: Collection[str], channels_first: bool = False) -> str:
    """Return the steps of two branches from their fork (or their Inputs), marked where the watched axes parted."""
    start = fork(one.end, other.end)
    ways = [way(branch.end, start) for branch in (one, other)]
    skip = {axis: _shared(*(_sizes(steps, axis, channels_first) for steps in ways)) for axis in watched}
    lines: list[Line] = []
    if start is not None:
        lines.append(_line(ways[0][0], "")._replace(label="fork"))
    for branch, steps in zip((one, other), ways, strict=True):
        marked = marks(steps, watched, skip, channels_first)
        if start is None:
            lines.extend(_lines(branch.label, steps, marked, ()))
        elif len(steps) > 1:
            after = {index - 1: mark for index, mark in marked.items() if index}
            lines.extend(_lines(branch.label, steps[1:], after, ()))
        else:
            lines.append(Line(branch.label, "the fork itself", str(branch.end.shape), "", ""))
    return _text(lines)


def _shared(a: list[tuple[int, int | None]], b: list[tuple[int, int | None]]) -> int:
    """Return how many sizes two branches go through alike before they part."""
    alike = 0
    for (_, m), (_, n) in zip(a, b, strict=False):
        if m != n:
            break
        alike += 1
    return alike
