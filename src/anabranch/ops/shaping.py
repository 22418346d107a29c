"""The same numbers in another shape or order: reshaping, axes moved, mirrored, repeated, padded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch._tree import Nest
from anabranch.graph import Spec, rules
from anabranch.graph.facts import along, dropped, permuted, reshaped, swapped
from anabranch.graph.shapes import product
from anabranch.ops._public import operation
from anabranch.ops._torch import F, fakes, torch
from anabranch.ops._types import Axes, ShapeLike, Sizes, Tensor, TensorLike, Widths
from anabranch.ops._values import check_rank, one_axis, one_of, rank, shape as shape_of, sizes, some_axes, tensor

ARGUMENTS = {
    "axis1": "the first axis.",
    "axis2": "the second axis.",
    "offset": "the diagonal: 0 is the main one, positive ones are above it, negative ones below.",
}


@operation(rules.reshaped, reshaped)
def reshape(x: TensorLike, newshape: ShapeLike) -> Tensor:
    """Return the elements of x in another shape.

    Args:
        newshape: the new sizes; one may be -1 (or None): what remains.

    >>> reshape([1, 2, 3, 4], (2, -1))
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    x = tensor(x)
    wanted = tuple(-1 if size is None else size for size in (newshape if isinstance(newshape, (tuple, list)) else (newshape,)))
    if sum(isinstance(size, int) and size == -1 for size in wanted) > 1:
        raise ArgumentError("At most one size is left to follow from the others.", got=f"newshape={newshape!r}")
    return _that_fits(x, wanted).reshape(wanted)  # torch's function takes no traced sizes before 2.10


def _that_fits(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """Return what can be reshaped; where the batch is not known and may be what fits, one that does."""
    before = product(shape_of(x))
    if not all(isinstance(size, int) for size in wanted):
        return x
    after = math.prod(size for size in wanted if size != -1)
    describing = isinstance(x, fakes.FakeTensor)
    if before is None and not describing:
        return x
    if before is None and -1 not in wanted:
        raise ShapeError(
            "How large the batch is is not known, so it fits no shape whose sizes are all given.",
            expected="-1 for one size", got=f"newshape={wanted} for {shape_of(x)}",
            repair=f"newshape=(-1, {', '.join(map(str, wanted))})",
        )  # fmt: skip
    if describing and -1 in wanted and after:  # inside a layer's call nobody knows which sizes are the batch's
        return x.reshape(-1).repeat(after) if x.numel() % after else x
    if before != after and (-1 not in wanted or not after or before is None or before % after):
        raise ShapeError(
            f"{before} numbers do not fill the shape {wanted}.",
            expected=f"{after} numbers" + " or a multiple" * (-1 in wanted), got=str(shape_of(x)),
        )  # fmt: skip
    return x


@operation(rules.flattened, dropped)
def ravel(x: TensorLike) -> Tensor:
    """Return x flattened: (…) -> (n,).

    >>> ravel([[1, 2], [3, 4]])
    tensor([1, 2, 3, 4], dtype=torch.int32)
    """
    return torch.reshape(tensor(x), (-1,))


@operation(rules.transposed, permuted)
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Return x with its axes permuted.

    Args:
        axes: the axes of x in their new order; None: reversed.

    >>> transpose([[1, 2], [3, 4]])
    tensor([[1, 3],
            [2, 4]], dtype=torch.int32)
    """
    x = tensor(x)
    total = rank(x)
    if axes is None:
        return torch.permute(x, tuple(reversed(range(total))))
    order = some_axes(tuple(axes), total, "axes")
    if len(order) != total:
        raise ShapeError(
            "axes does not name every axis.", expected=f"the numbers 0 … {total - 1} in some order", got=f"{tuple(axes)}",
            repair=f"x has the shape {shape_of(x)}; the batch is axis 0 and belongs there too",
        )  # fmt: skip
    return torch.permute(x, order)


@operation()
def moveaxis(x: TensorLike, source: Axes, destination: Axes) -> Tensor:
    """Return x with some axes moved; the others keep their order.

    Args:
        source: the axes to move.
        destination: their new positions.

    >>> import torch
    >>> moveaxis(torch.ones(2, 3, 4), 0, -1).shape
    torch.Size([3, 4, 2])
    """
    x = tensor(x)
    return torch.movedim(x, some_axes(source, rank(x), "source"), some_axes(destination, rank(x), "destination"))


@operation(rules.swapped, swapped)
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Return x with two axes interchanged.

    >>> import torch
    >>> swapaxes(torch.ones(2, 3, 4), 0, 2).shape
    torch.Size([4, 3, 2])
    """
    x = tensor(x)
    return torch.transpose(x, one_axis(axis1, rank(x), "axis1"), one_axis(axis2, rank(x), "axis2"))


@operation(rules.expanded, along(new=True))
def expand_dims(x: TensorLike, axis: Axes) -> Tensor:
    """Return x with new axes of size 1.

    Args:
        axis: where the new axes are, counted in the result.

    >>> expand_dims([1, 2], 0)
    tensor([[1, 2]], dtype=torch.int32)
    """
    x = tensor(x)
    added = axis if isinstance(axis, (tuple, list)) else (axis,)
    for place in sorted(some_axes(tuple(added), rank(x) + len(added))):
        x = torch.unsqueeze(x, place)
    return x


@operation(rules.squeezed, along())
def squeeze(x: TensorLike, axis: Axes = None) -> Tensor:
    """Return x without axes of size 1.

    Args:
        axis: the axes to remove; None: all whose size is known to be 1.

    >>> squeeze([[1, 2]])
    tensor([1, 2], dtype=torch.int32)
    """
    x = tensor(x)
    known = shape_of(x)
    if axis is None:
        return torch.squeeze(x, tuple(place for place, size in enumerate(known) if size == 1))
    axes = some_axes(axis, len(known))
    for place in axes:
        if known[place] not in (1, None):
            raise ShapeError(
                f"Axis {place} has size {known[place]}, so it cannot go.",
                expected="axes of size 1", got=f"{known}, axis={axis!r}",
                repair="ops.reshape, or a mean or maximum over the axis",
            )  # fmt: skip
    if isinstance(x, fakes.FakeTensor):  # sizes that are not known stand for 1 here
        for place in sorted((place for place in axes if known[place] is None), reverse=True):
            x = x.narrow(place, 0, 1)
    return torch.squeeze(x, axes)


@operation(rules.stretched)
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """Return x broadcast to a shape.

    >>> broadcast_to([1, 2], (2, 2))
    tensor([[1, 2],
            [1, 2]], dtype=torch.int32)
    """
    x = tensor(x)
    rules.stretched(Spec(shape_of(x), ""), shape)
    return x.broadcast_to(tuple(shape))


@operation(rules.flipped, along())
def flip(x: TensorLike, axis: Axes = None) -> Tensor:
    """Return x with the order of elements reversed along axes.

    >>> flip([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([[2., 1.],
            [5., 3.]])
    """
    x = tensor(x)
    return torch.flip(x, some_axes(axis, rank(x)))


@operation()
def fliplr(x: TensorLike) -> Tensor:
    """Return x with the order of elements reversed along axis 1.

    >>> fliplr([[1, 2]])
    tensor([[2, 1]], dtype=torch.int32)
    """
    return torch.flip(tensor(x), (1,))


@operation()
def flipud(x: TensorLike) -> Tensor:
    """Return x with the order of elements reversed along axis 0.

    >>> flipud([1, 2])
    tensor([2, 1], dtype=torch.int32)
    """
    return torch.flip(tensor(x), (0,))


@operation()
def roll(x: TensorLike, shift: int | list[int] | tuple[int, ...], axis: Axes = None) -> Tensor:
    """Return x shifted along axes; what leaves at one end enters at the other.

    Args:
        shift: by how many positions, one integer or one for each axis.
        axis: the axes; None: x is shifted as if it were flattened.

    >>> roll([1, 2, 3], 1)
    tensor([3, 1, 2], dtype=torch.int32)
    """
    x = tensor(x)
    if axis is None:
        return torch.roll(x, shift)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)  # one may be named twice
    places = tuple(one_axis(each, rank(x)) for each in axes)
    return torch.roll(x, shift if isinstance(shift, (tuple, list)) else (shift,) * len(places), places)


@operation()
def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Return x rotated by 90° in the plane of two axes.

    Args:
        array: the input, of any shape.
        k: how many times; from the first axis towards the second.
        axes: the two axes.

    >>> rot90([[1, 2], [3, 4]])
    tensor([[2, 4],
            [1, 3]], dtype=torch.int32)
    """
    array = tensor(array)
    return torch.rot90(array, k, some_axes(tuple(axes), rank(array), "axes"))


@operation()
def repeat(x: TensorLike, repeats: Sizes | Tensor, axis: int | None = None) -> Tensor:
    """Return x with each element along an axis repeated.

    Args:
        repeats: how many times, one integer or one for each element.

    >>> repeat([1, 2], 2)
    tensor([1, 1, 2, 2], dtype=torch.int32)
    """
    x = tensor(x)
    x, place = (torch.reshape(x, (-1,)), 0) if axis is None else (x, one_axis(axis, rank(x)))
    if isinstance(repeats, (list, tuple)):
        repeats = repeats[0] if len(repeats) == 1 else tensor(repeats)
    if isinstance(repeats, torch.Tensor):
        repeats = repeats.long()
    return torch.repeat_interleave(x, repeats, place)  # type: ignore[arg-type]  # torch types one number as none


@operation()
def tile(x: TensorLike, repeats: int | list[int] | tuple[int, ...] | Tensor) -> Tensor:
    """Return x repeated as a whole along each axis.

    Args:
        repeats: how many times along each axis, the last ones where fewer are given.

    >>> tile([1, 2], 2)
    tensor([1, 2, 1, 2], dtype=torch.int32)
    """
    times = repeats.tolist() if isinstance(repeats, torch.Tensor) else repeats
    return tensor(x).tile(tuple(times) if isinstance(times, (tuple, list)) else (times,))


@operation()
def pad(x: TensorLike, pad_width: Widths, mode: str = "constant", constant_values: float | None = None) -> Tensor:
    """Return x with elements added at both ends of each axis.

    Args:
        pad_width: ((before, after), …) for each axis, one pair or one integer for all.
        mode: "constant", "edge" (the nearest), "reflect" (mirrored, without the last element), "symmetric" (mirrored), "wrap".
        constant_values: the new elements in mode "constant"; None: 0.

    >>> pad([1, 2], 1)
    tensor([0, 1, 2, 0], dtype=torch.int32)
    """
    x = tensor(x)
    total = rank(x)
    pairs = _pairs(pad_width, total)
    one_of("mode", mode, ("constant", "edge", "reflect", "symmetric", "wrap"))
    if constant_values is not None and mode != "constant":
        raise ArgumentError("constant_values belongs to mode='constant'.", got=f"mode={mode!r}")
    if mode == "constant":
        flat = [amount for pair in reversed(pairs) for amount in pair]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    for place, (before, after) in enumerate(pairs):
        if before or after:
            x = x.index_select(place, _places(sizes(x)[place], before, after, mode, x))
    return x


def _pairs(pad_width: Widths, total: int) -> list[tuple[int, int]]:
    width: Nest = pad_width.tolist() if isinstance(pad_width, torch.Tensor) else pad_width
    if isinstance(width, int):
        return [(width, width)] * total
    given = [width] if all(isinstance(amount, int) for amount in width) else list(width)
    pairs = [(pair[0], pair[-1]) for pair in given]
    if len(pairs) not in (1, total):
        raise ShapeError(
            "pad_width does not fit the axes.",
            expected=f"a number, one pair, or {total} pairs (before, after), (0, 0) for the batch", got=f"{pad_width!r}",
        )  # fmt: skip
    return pairs * total if len(pairs) == 1 else pairs


def _places(size: int, before: int, after: int, mode: str, like: Tensor) -> Tensor:
    """Return where the elements of the longer axis stand in the one that was."""
    place = runtime.create(torch.arange, -before, size + after, device=like.device)
    if mode == "edge":
        return torch.clamp(place, 0, size - 1)
    if mode == "wrap":
        return place % size
    if mode == "symmetric":
        return torch.minimum(place % (2 * size), 2 * size - 1 - place % (2 * size))
    period = 2 * (size - 1)
    return torch.minimum(place % period, period - place % period) if not isinstance(size, int) or size > 1 else place * 0


@operation(rules.diagonals)
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals of the matrices along two axes, as a new last axis.

    Args:
        offset: which diagonal.

    >>> diagonal([[1, 2], [3, 4]])
    tensor([1, 4], dtype=torch.int32)
    """
    x = tensor(x)
    return torch.diagonal(x, offset, one_axis(axis1, rank(x), "axis1"), one_axis(axis2, rank(x), "axis2"))


@operation()
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """Return the diagonal of a matrix, or a matrix with the vector x on a diagonal.

    >>> diag([1, 2])
    tensor([[1, 0],
            [0, 2]], dtype=torch.int32)
    """
    x = tensor(x)
    check_rank(x, (1, 2), "(n,) or (n, m)")
    return torch.diag(x, k)


@operation()
def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """Return a matrix with the flattened x on a diagonal.

    >>> diagflat([1, 2])
    tensor([[1, 0],
            [0, 2]], dtype=torch.int32)
    """
    return torch.diagflat(tensor(x), k)


@operation()
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Return the lower triangle of matrices: 0 above a diagonal.

    >>> tril([[1, 2], [3, 4]])
    tensor([[1, 0],
            [3, 4]], dtype=torch.int32)
    """
    return torch.tril(tensor(x), k)


@operation()
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Return the upper triangle of matrices: 0 below a diagonal.

    >>> triu([[1, 2], [3, 4]])
    tensor([[1, 2],
            [0, 4]], dtype=torch.int32)
    """
    return torch.triu(tensor(x), k)


@operation()
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sum of the diagonal of the matrices along two axes.

    Args:
        offset: which diagonal.

    >>> trace([[1, 2], [3, 4]])
    tensor(5, dtype=torch.int32)
    """
    from anabranch.ops._values import sum_options

    x = tensor(x)
    found = torch.diagonal(x, offset, one_axis(axis1, rank(x), "axis1"), one_axis(axis2, rank(x), "axis2"))
    return torch.sum(found, -1, **sum_options(x))
