"""Whether the branches of a merge fit together; where they do not: at which axes, whence they come, what would mend it."""

from __future__ import annotations

from typing import Any

from anabranch import config
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.layers.base import Layer

SPATIAL = {3: ("steps",), 4: ("height", "width"), 5: ("depth", "height", "width")}


def axis_names(rank: int) -> tuple[str, ...]:
    """Return what the axes of a tensor are called: batch, spatial axes, channels.

    >>> axis_names(4)
    ('batch', 'height', 'width', 'channels')
    """
    if rank == 2:
        return ("batch", "features")
    if rank not in SPATIAL:
        return tuple(f"axis {axis}" for axis in range(rank))
    if rank > 3 and config.image_data_format() == "channels_first":
        return ("batch", "channels", *SPATIAL[rank])
    return ("batch", *SPATIAL[rank], "channels" if rank > 3 else "features")


def check_branches(layer: Layer, shapes: Any, least: int, most: int | None = None) -> None:
    """Raise unless ``shapes`` are those of a list of as many branches as the layer takes."""
    name = type(layer).__name__
    if not isinstance(shapes, list) or (shapes and not isinstance(shapes[0], tuple)):
        raise ArgumentError(
            f"{name} merges branches, so it is called on a list.", expected="[a, b]", got=f"one tensor {shapes}"
        )
    if len(shapes) < least or (most is not None and len(shapes) > most):
        takes = f"{least} branches" if least == most else f"at least {least}"
        raise ArgumentError(f"{name} takes a list of {takes}.", got=str(len(shapes)))


def agreed(layer: Layer, shapes: list[Shape], *, stretch: bool, but: int | None = None) -> Shape:
    """Return the sizes that shapes of one rank agree on; None fits any, with ``stretch`` so does 1; ``but`` is left out."""
    sizes = list(shapes[0])
    givers = [0] * len(sizes)  # the branch that each size is from
    for branch, shape in enumerate(shapes):
        for axis, (m, n) in enumerate(zip(sizes, shape, strict=True)):
            if axis != but and differ(m, n, stretch):
                raise parted(layer, shapes, givers[axis], branch, stretch=stretch, but=but)
            if (m is None and not (stretch and n == 1)) or (stretch and m == 1):
                sizes[axis], givers[axis] = n, branch
    return tuple(sizes)


def differ(m: int | None, n: int | None, stretch: bool) -> bool:
    """Return whether two sizes cannot go together."""
    return m is not None and n is not None and m != n and not (stretch and 1 in (m, n))


def parted(layer: Layer, shapes: list[Shape], one: int, other: int, *, stretch: bool, but: int | None) -> ShapeError:
    """Build the error of two branches whose sizes differ, axis by axis, with the edits that would mend it."""
    a, b = shapes[one], shapes[other]
    names = axis_names(len(a))
    axes = [axis for axis, (m, n) in enumerate(zip(a, b, strict=True)) if axis != but and differ(m, n, stretch)]
    return ShapeError(
        f"{type(layer).__name__} cannot merge {a} and {b}: {', '.join(f'{names[i]} {a[i]} and {b[i]}' for i in axes)}.",
        expected=f"equal {' and '.join(names[i] for i in axes)}{', or 1' if stretch else ''}",
        repair=mend((one + 1, a), (other + 1, b), axes) or None,
    )


def mend(one: tuple[int, Shape], other: tuple[int, Shape], axes: list[int]) -> str:
    """Return the edits after which two branches, each its number and shape, would agree along ``axes``."""
    wanted, number = one[1], other[0]
    names = axis_names(len(wanted))
    spatial = [axis for axis in axes if names[axis] in SPATIAL.get(len(wanted), ())]
    edits = [resize(one, other, spatial)] if spatial else []
    for axis in axes:
        if names[axis] in ("channels", "features"):
            project = f"Dense({wanted[axis]})" if len(wanted) < 4 else f"Conv{len(wanted) - 2}D({wanted[axis]}, 1)"
            edits.append(f"{project} on branch {number} gives it {wanted[axis]} {names[axis]}")
    return "; ".join(edits)


def resize(one: tuple[int, Shape], other: tuple[int, Shape], axes: list[int]) -> str:
    """Return the edit after which two branches would have the same lengths along the spatial ``axes``."""
    (first, a), (second, b) = one, other
    if all((a[axis] or 0) > (b[axis] or 0) for axis in axes):
        return resize(other, one, axes)
    if not all((a[axis] or 0) < (b[axis] or 0) for axis in axes):
        return 'padding="same" and equal strides in both branches'
    names = axis_names(len(a))
    positions = [axis for axis, name in enumerate(names) if name in SPATIAL[len(a)]]
    lengths = [((a[axis] or 1, b[axis] or 1) if axis in axes else (1, 1)) for axis in positions]
    strides = tuple(-(-long // short) for short, long in lengths)
    if all(
        -(-long // stride) == short and (stride > 1 or long == 1)
        for (short, long), stride in zip(lengths, strides, strict=True)
    ):
        channels = a[names.index("channels" if "channels" in names else "features")]
        return f"a stride in branch {second}, such as Conv{len(positions)}D({channels}, 1, strides={_short(strides)})"
    crop = tuple(((long - short) // 2, long - short - (long - short) // 2) for short, long in lengths)
    return f'padding="same" in the layers of branch {first}, or Cropping{len(positions)}D({_short(crop)}) on branch {second}'


def _short(values: tuple[Any, ...]) -> Any:
    """Return one value where all are the same number, or where there is but one."""
    return values[0] if len(values) == 1 or (isinstance(values[0], int) and len(set(values)) == 1) else values


def sources(inputs: Any) -> str:
    """Return a line for each branch: its shape, the layer it is from, the user's line."""
    lines = [
        f"branch {number}: {tensor.shape} from {tensor.node.operation.name} at {tensor.node.site}"
        for number, tensor in enumerate(inputs, 1)
    ]
    return ("\n" + " " * 12).join(lines)
