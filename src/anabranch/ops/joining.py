"""Several tensors as one, and one as several: concatenating, stacking, splitting."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import along
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import common, one_axis, one_of, rank, shape, sizes, tensor

ARGUMENTS = {
    "xs": "the tensors.",
    "indices_or_sections": "how many equal parts, or the positions to cut before.",
}


@operation(rules.joined, along(joins=True))
def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return tensors joined along an existing axis; all other sizes are equal.

    >>> concatenate([[1, 2], [3]])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    made = _several(xs)
    ranks = {rank(x) for x in made}
    if len(ranks) > 1:
        raise ShapeError("Tensors with different numbers of axes cannot be joined.", got=", ".join(str(shape(x)) for x in made))
    return torch.cat(made, one_axis(axis, ranks.pop()))


@operation(rules.stacked, along(new=True, joins=True))
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return tensors of one shape joined along a new axis.

    Args:
        x: the tensors.
        axis: where the new axis is, counted in the result.

    >>> stack([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    made = _several(x)
    return torch.stack(made, one_axis(axis, rank(made[0]) + 1))


@operation()
def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return tensors joined along axis 1; vectors along axis 0.

    >>> hstack([[1, 2], [3]])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    made = _several(xs)
    return torch.cat([x.reshape(1) if rank(x) == 0 else x for x in made], 0 if rank(made[0]) < 2 else 1)


@operation()
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return tensors joined along axis 0; vectors are rows.

    >>> vstack([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    return torch.cat([x.reshape(1, -1) if rank(x) < 2 else x for x in _several(xs)], 0)


@operation()
def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return tensors joined along axis 2, which those of lower rank gain.

    >>> dstack([[1, 2], [3, 4]])
    tensor([[[1, 3],
             [2, 4]]], dtype=torch.int32)
    """
    made = [x.reshape(1, -1, 1) if rank(x) < 2 else x.unsqueeze(2) if rank(x) == 2 else x for x in _several(xs)]
    return torch.cat(made, 2)


@operation()
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """Return x2 joined to the end of x1 along an axis.

    Args:
        x1: the first tensor.
        x2: the second tensor.
        axis: the axis; None: both are flattened.

    >>> append([1, 2], [3])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    x1, x2 = common(x1, x2)
    if axis is None:
        return torch.cat([x1.reshape(-1), x2.reshape(-1)], 0)
    return torch.cat([x1, x2], one_axis(axis, rank(x1)))


def _several(xs: TensorLike) -> list[Tensor]:
    if not isinstance(xs, (list, tuple)):
        made = tensor(xs)
        if shape(made)[:1] in ((), (None,)):
            raise ArgumentTypeError("These are not several tensors.", expected="a list or tuple", got=type(xs).__name__)
        return [made[index] for index in range(shape(made)[0] or 0)]
    if not xs:
        raise ArgumentError("There is nothing to join.", expected="a list of one tensor at least", got=repr(xs))
    return common(*xs)


@operation(mask=along())
def split(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor, axis: int = 0) -> list[Tensor]:
    """Return the parts of x along an axis: equal ones, or cut at positions.

    >>> split([1, 2, 3, 4], 2)
    [tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32)]
    """
    return _split(x, indices_or_sections, axis)


@operation(mask=along())
def array_split(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor, axis: int = 0) -> list[Tensor]:
    """Return the parts of x along an axis; where they cannot be equal, the first ones are longer by one.

    Args:
        indices_or_sections: how many parts, or the positions to cut before.

    >>> array_split([1, 2, 3], 2)
    [tensor([1, 2], dtype=torch.int32), tensor([3], dtype=torch.int32)]
    """
    x = tensor(x)
    place = one_axis(axis, rank(x))
    if not isinstance(indices_or_sections, int):
        return _cut(x, indices_or_sections, place)
    found = torch.tensor_split(x, indices_or_sections, place)
    return [found[index] for index in range(indices_or_sections)]


@operation()
def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> list[Tensor]:
    """Return the parts of x along axis 0.

    >>> vsplit([1, 2, 3, 4], 2)
    [tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32)]
    """
    return _split(x, indices_or_sections, 0)


@operation()
def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> list[Tensor]:
    """Return the parts of x along axis 1; of a vector, along axis 0.

    >>> hsplit([[1, 2]], 2)
    [tensor([[1]], dtype=torch.int32), tensor([[2]], dtype=torch.int32)]
    """
    return _split(x, indices_or_sections, 1 if rank(tensor(x)) > 1 else 0)


@operation()
def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor) -> list[Tensor]:
    """Return the parts of x along axis 2.

    >>> dsplit([[[1, 2]]], 2)
    [tensor([[[1]]], dtype=torch.int32), tensor([[[2]]], dtype=torch.int32)]
    """
    return _split(x, indices_or_sections, 2)


def _split(x: TensorLike, indices_or_sections: int | Sequence[int] | Tensor, axis: int) -> list[Tensor]:
    x = tensor(x)
    place = one_axis(axis, rank(x))
    if isinstance(indices_or_sections, int):
        return _equal_parts(x, indices_or_sections, place)
    return _cut(x, indices_or_sections, place)


def _equal_parts(x: Tensor, count: int, axis: int) -> list[Tensor]:
    size = shape(x)[axis]
    if count < 1 or (size is not None and size % count):
        raise ShapeError(
            f"Axis {axis} cannot be split into {count} equal parts.", expected=f"a divisor of {size}", got=f"{shape(x)}",
            repair="ops.split(x, [place, …], axis) cuts at places; ops.array_split makes parts that differ by one",
        )  # fmt: skip
    if size is None:  # it may be 0, of which torch.split gives one part
        found = torch.unbind(torch.unflatten(x, axis, (count, sizes(x)[axis] // count)), axis)
    else:
        found = torch.tensor_split(x, count, axis) if size == 0 else torch.split(x, size // count, axis)
    return [found[index] for index in range(count)]


def _cut(x: Tensor, places: Sequence[int] | Tensor, axis: int) -> list[Tensor]:
    cuts = [int(place) for place in places]
    found = torch.tensor_split(x, cuts, axis)
    return [found[index] for index in range(len(cuts) + 1)]


@operation()
def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Return the coordinate matrices of the grid that vectors span, one for each vector.

    Args:
        *x: the vectors.
        indexing: "xy": the second vector varies along axis 0; "ij": the first one.

    >>> meshgrid([1, 2], [3])
    [tensor([[1, 2]], dtype=torch.int32), tensor([[3, 3]], dtype=torch.int32)]
    """
    one_of("indexing", indexing, ("xy", "ij"))
    found = torch.meshgrid(*(tensor(vector) for vector in x), indexing=indexing)
    return [found[index] for index in range(len(x))]
