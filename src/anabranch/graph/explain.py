"""What to write instead where shapes do not fit: the edits that mend two branches, the layer that mends a rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch._errors import AnabranchError, EngineError, ShapeError
from anabranch.graph.story import LAST, SPATIAL, Branch, axis_names, branches, chain, fork, is_channels_first, named, way

if TYPE_CHECKING:
    from anabranch.graph.shapes import Shape
    from anabranch.graph.tensor import Tensor

    Ends = tuple[Tensor, Tensor] | None


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


def tell(error: AnabranchError, inputs: list[Tensor]) -> None:
    """Add to an error about shapes whence the tensors come, and the layers to change, unless it knows already."""
    if error.story is not None or not inputs or not isinstance(error, (ShapeError, EngineError)):
        return
    if len(inputs) == 1:
        error.story = chain(inputs[0])
        return
    clash = error.clue if isinstance(error.clue, Clash) and _is_of(error.clue, inputs) else _clash(inputs)
    ends = inputs[clash.one], inputs[clash.other]
    one, other = (Branch(f"branch {place + 1}", inputs[place]) for place in (clash.one, clash.other))
    error.story = branches(one, other, clash.names, clash.channels_first)
    if error.clue is clash:
        error.repair = repairs(clash, ends)


def _is_of(clash: Clash, inputs: list[Tensor]) -> bool:
    """Return whether a clash is one of these inputs, not of tensors inside the layer that they were given to."""
    if max(clash.one, clash.other) >= len(inputs):
        return False
    pairs = zip(clash.shapes, (inputs[clash.one].shape, inputs[clash.other].shape), strict=True)
    return all([n for n in raised if n != 1] == [n for n in shape if n != 1] for raised, shape in pairs)


def _clash(inputs: list[Tensor]) -> Clash:
    """Return what can be told of several inputs: the first, and the first after it of another shape."""
    other = next((i for i, tensor in enumerate(inputs) if tensor.shape != inputs[0].shape), 1)
    a, b = inputs[0].shape, inputs[other].shape
    axes = [i for i, (m, n) in enumerate(zip(a, b, strict=False)) if m != n and None not in (m, n)]
    return Clash(0, other, (a, b), axes if len(a) == len(b) else [], is_channels_first(*inputs))


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
        edits.append(f"{project} on branch {clash.other + 1} gives it {a[axis]} {names[axis]}")
    return edits


def _turned(clash: Clash, ends: Ends) -> tuple[Clash, Ends]:
    """Return the same clash told from the other branch."""
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
    lengths = [((a[axis] or 1, b[axis] or 1) if axis in axes else (1, 1)) for axis in positions]
    strides = tuple(-(-long // short) for short, long in lengths)
    if all(
        -(-long // stride) == short and (stride > 1 or long == 1)
        for (short, long), stride in zip(lengths, strides, strict=True)
    ):
        channels = a[next(axis for axis, name in enumerate(names) if name in LAST)]
        project = f"Conv{len(positions)}D({channels}, 1, strides={_short(strides)})"
        return [f"a stride in branch {second}, such as the projection {project}"], True
    crop = tuple(((long - short) // 2, long - short - (long - short) // 2) for short, long in lengths)
    even = len(crop) > 1 and all(before == after for before, after in crop)
    cropping = f"Cropping{len(positions)}D({_short(tuple(pair[0] for pair in crop) if even else crop)}) on branch {second}"
    padded = _unpadded(ends, [names[axis] for axis in axes], clash.channels_first) if ends else "the layers"
    return ([f'padding="same" in {padded} of branch {first}', f"or {cropping}"] if padded else [cropping]), False


def _unpadded(ends: tuple[Tensor, Tensor], watched: list[str], channels_first: bool) -> str | None:
    """Return the layers of the shorter branch whose windows shortened it for want of padding; None where there is none."""
    steps = way(ends[0], fork(*ends))
    found: list[Any] = []
    for before, after in zip(steps, steps[1:], strict=False):
        operation: Any = after.node.operation
        if getattr(operation, "padding", None) == "valid" and len(before.shape) == len(after.shape):
            names = axis_names(len(after.shape), channels_first)
            if any(before.shape[i] != after.shape[i] for i, name in enumerate(names) if name in watched):
                found.append(after.node)
    if not found:
        return None
    named_first = f"{named(found[0].operation)} ({found[0].site})"
    return named_first if len(found) == 1 else f"{named_first} and {len(found) - 1} more"


def _short(values: tuple[Any, ...]) -> Any:
    """Return one value where all are the same number, or where there is but one."""
    return values[0] if len(values) == 1 or (isinstance(values[0], int) and len(set(values)) == 1) else values
