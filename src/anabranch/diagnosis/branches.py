"""Two branches that do not fit together: at which axes, and the edits after which they would."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch.diagnosis.axes import LAST, SPATIAL, axis_names
from anabranch.diagnosis.clash import Clash
from anabranch.diagnosis.origins import fork, is_channels_first, way

if TYPE_CHECKING:
    from anabranch.graph.records import Node, Tensor
    from anabranch.graph.shapes import Shape

    Ends = tuple[Tensor, Tensor] | None


MOST_NAMED = 3  # layers to be padded


def is_of(clash: Clash, inputs: Sequence[Tensor]) -> bool:
    """Return whether a clash is one of these inputs, not of tensors inside the layer that they were given to."""
    if max(clash.one, clash.other) >= len(inputs):
        return False
    pairs = zip(clash.shapes, (inputs[clash.one].shape, inputs[clash.other].shape), strict=True)
    return all([n for n in raised if n != 1] == [n for n in shape if n != 1] for raised, shape in pairs)


def first_clash(inputs: Sequence[Tensor]) -> Clash:
    """Return how the first of several inputs and the first after it of another shape differ."""
    other = next((i for i, tensor in enumerate(inputs) if tensor.shape != inputs[0].shape), 1)
    a, b = inputs[0].shape, inputs[other].shape
    axes = [i for i, (m, n) in enumerate(zip(a, b, strict=False)) if m != n and None not in (m, n)]
    return Clash(0, other, (a, b), axes if len(a) == len(b) else [], is_channels_first(*inputs))


def clash_of_operands(shapes: tuple[Shape, Shape]) -> Clash:
    """Return at which axes two operands cannot be combined element by element, counted from the last axis."""
    rank = max(map(len, shapes))
    a, b = pair = ((1,) * (rank - len(shapes[0])) + shapes[0], (1,) * (rank - len(shapes[1])) + shapes[1])
    axes = [i for i, (m, n) in enumerate(zip(a, b, strict=True)) if m != n and None not in (m, n) and 1 not in (m, n)]
    return Clash(0, 1, pair, axes)


def repairs(clash: Clash, ends: Ends = None) -> str | None:
    """Return the edits, one a line, that mend two branches, with their tensors naming the layers to change."""
    edits = mend(clash, ends)
    if clash.meant is not None:
        edits = [] if any(name not in LAST for name in clash.names) else edits
        edits = [f"if it is meant: {clash.meant}", *(f"if not: {edit}" for edit in edits)]
    return "\n".join(edits) or None


# Edits of branches


def mend(clash: Clash, ends: Ends = None) -> list[str]:
    """Return the edits after which two branches would agree; with their tensors, the layers to change are named."""
    if any(clash.shapes[0][axis] == 1 for axis in clash.axes):
        clash, ends = _turned(clash, ends)
    a = clash.shapes[0]
    names = axis_names(len(a), clash.channels_first)
    spatial = [axis for axis in clash.axes if names[axis] in SPATIAL.get(len(a), ())]
    last = [axis for axis in clash.axes if names[axis] in LAST]
    if spatial:
        edits, projected = _resize(clash, spatial, ends)
        if projected:
            return edits
    else:
        edits = []
    for axis in last:
        project = f"Dense({a[axis]})" if len(a) < 4 else f"Conv{len(a) - 2}D({a[axis]}, 1)"
        also = "and " if spatial else ""
        edits.append(f"{also}{project} on branch {clash.other + 1} gives it {a[axis]} {names[axis]}")
    return edits


def _turned(clash: Clash, ends: Ends) -> tuple[Clash, Ends]:
    """Return the same clash, seen from the other branch."""
    a, b = clash.shapes
    return clash._replace(one=clash.other, other=clash.one, shapes=(b, a)), (ends[1], ends[0]) if ends else None


def _resize(clash: Clash, axes: list[int], ends: Ends) -> tuple[list[str], bool]:
    """Return the edits after which the lengths along ``axes`` agree, and whether these make the channels agree too."""
    (a, b), (first, second) = clash.shapes, (clash.one + 1, clash.other + 1)
    if all((a[axis] or 0) > (b[axis] or 0) for axis in axes):
        turned, ends = _turned(clash, ends)
        return _resize(turned, axes, ends)
    if not all((a[axis] or 0) < (b[axis] or 0) for axis in axes):
        return ['padding="same" and equal strides in both branches'], False
    names = axis_names(len(a), clash.channels_first)
    positions = [axis for axis, name in enumerate(names) if name in SPATIAL[len(a)]]
    short, long = ([shape[axis] or 1 if axis in axes else 1 for axis in positions] for shape in (a, b))
    channels = a[next(axis for axis, name in enumerate(names) if name in LAST)]
    project = f"Conv{len(positions)}D({channels}, 1, strides=%s) on branch {second}, a projection"
    if strides := _strides(short, long):
        return [project % (_short(strides),)], True
    crop = tuple(((n - m) // 2, n - m - (n - m) // 2) for m, n in zip(short, long, strict=True))
    even = len(crop) > 1 and all(before == after for before, after in crop)
    cropping = f"Cropping{len(positions)}D({_short(tuple(pair[0] for pair in crop) if even else crop)}) on branch {second}"
    if ends is None:
        return [f'padding="same" in the layers of branch {first}', f"or {cropping}"], False
    padded, other = _padded(ends, positions), _padded((ends[1], ends[0]), positions)
    if padded is None:
        return [cropping], False
    edit = f'padding="same" in {padded[0]} of branch {first}'
    lengths = tuple(b[axis] or 1 for axis in positions)
    if padded[1] == lengths:
        return [edit, f"or {cropping}"], False
    if other is not None and padded[1] == other[1]:
        return [f"{edit},\nand in {other[0]} of branch {second}", f"or {cropping}"], False
    if strides := _strides(list(padded[1]), list(lengths)):
        return [f"{edit},\nand {project % (_short(strides),)}"], True
    return [cropping], False


def _strides(short: list[int], long: list[int]) -> tuple[int, ...] | None:
    """Return the strides with which a window of one position makes the long lengths the short ones, if there are such."""
    strides = tuple(-(-n // m) for m, n in zip(short, long, strict=True))
    fits = all(-(-n // s) == m and (s > 1 or n == m) for m, n, s in zip(short, long, strides, strict=True))
    return strides if fits else None


def _padded(ends: tuple[Tensor, Tensor], axes: list[int]) -> tuple[str, tuple[int, ...]] | None:
    """Return the layers of the first branch that shortened it for want of padding, and the lengths it would have with it.

    None where there is no such layer, or where the lengths depend on layers that are not known to be windows.
    """
    steps = way(ends[0], fork(*ends))
    found: list[Node] = []
    lengths: list[int | None] = [steps[0].shape[axis] for axis in axes] if len(steps[0].shape) == len(ends[0].shape) else [None]
    for before, after in itertools.pairwise(steps):
        window = after.node.operation._local_window_()
        if None in lengths or len(after.shape) != len(ends[0].shape):
            return None
        was, now = ([tensor.shape[axis] for axis in axes] for tensor in (before, after))
        if window is not None and window.padding in ("valid", "same"):
            strides = window.strides
            if window.padding == "valid" and now != [-(-(n or 0) // s) for n, s in zip(was, strides, strict=True)]:
                found.append(after.node)
            lengths = [-(-(n or 0) // s) for n, s in zip(lengths, strides, strict=True)]
        elif was != now:
            return None
    if not found:
        return None
    shown = ", ".join(f"{node.operation._error_label_()} ({node.site})" for node in found[:MOST_NAMED])
    others = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{shown}{others}", tuple(n or 0 for n in lengths)


def _short(values: tuple[Any, ...]) -> Any:
    """Return one value where all are the same number, or where there is but one."""
    return values[0] if len(values) == 1 or (isinstance(values[0], int) and len(set(values)) == 1) else values
