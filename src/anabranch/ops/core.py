"""Keras's core functions: conversions, what a tensor is, blocks and positions read and written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch._frames import bounded
from anabranch.graph import Shape, Tensor as Symbolic, Weight, rules
from anabranch.graph.facts import along, pointwise
from anabranch.ops._arguments import documented
from anabranch.ops._public import operation
from anabranch.ops._torch import np, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    dtype as dtype_name,
    one_axis,
    one_of,
    rank,
    shape as shape_of,
    sizes,
    tensor,
    tensor_of,
    torch_dtype,
    whole,
    whole_indices,
)

ARGUMENTS = {
    "start_indices": "the first position along each axis.",
    "values": "the values.",
}

# Conversions


@operation()
def convert_to_tensor(
    x: TensorLike, dtype: str | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Return a number, nested list or array as a tensor; floats of lists become ``config.floatx()``.

    Args:
        x: a number, nested list, array, weight or tensor.
        ragged: only False: tensors are dense.

    >>> convert_to_tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    if sparse or ragged:
        raise ArgumentError(
            "Tensors here are dense.", expected="sparse=None, ragged=None", got=f"sparse={sparse}, ragged={ragged}"
        )
    return tensor_of(x, dtype)


@bounded
@documented
def convert_to_numpy(x: TensorLike) -> np.ndarray[Any, Any]:
    """Return the values as a NumPy array in the memory of the host.

    >>> convert_to_numpy([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    if isinstance(x, Symbolic):
        np.asarray(x)  # which says that it has no numbers
    return runtime.numpy_of(tensor(runtime.as_tensor(x) if isinstance(x, Weight) else x))


@operation(rules.cast, pointwise)
def cast(x: TensorLike, dtype: str) -> Tensor:
    """Return x in another dtype; numbers and lists must fit one of integers, while tensors wrap, as torch has it.

    Args:
        dtype: the new dtype.

    >>> cast([1.5, 2.5], "int32")
    tensor([1, 2], dtype=torch.int32)
    """
    return tensor(x).to(torch_dtype(dtype)) if _is_tensor(x) else tensor_of(x, dtype)


def _is_tensor(x: TensorLike) -> bool:
    """Return whether x is a tensor or a traced one, no constant."""
    return isinstance(x, (torch.Tensor, torch.fx.Proxy))


@operation(mask=pointwise)
def saturate_cast(x: TensorLike, dtype: str) -> Tensor:
    """Return x in another dtype, clipped to the range of that dtype.

    Args:
        dtype: the new dtype.

    >>> saturate_cast([-3.0, 300.0], "uint8")
    tensor([  0, 255], dtype=torch.uint8)
    """
    x, kind = whole(x), torch_dtype(dtype)
    if kind == torch.bool:
        return x.to(kind)
    from_float, to_float = "float" in dtype_name(x), kind.is_floating_point
    own = (torch.finfo if from_float else torch.iinfo)(torch_dtype(dtype_name(x)))
    limits = (torch.finfo if to_float else torch.iinfo)(kind)
    if to_float and limits.max >= own.max:
        return x.to(kind)
    low, high = max(limits.min, own.min), min(limits.max, own.max)
    if from_float and not to_float and own.max > high:
        top = torch.tensor(high, dtype=torch_dtype(dtype_name(x)))  # rounded, perhaps to more than the greatest integer
        high = torch.nextafter(top, top * 0).item() if int(top) > high else high
    number = float if from_float else int
    return torch.clamp(x, number(low), number(high)).to(kind)


@operation(mask=pointwise)
def stop_gradient(variable: TensorLike) -> Tensor:
    """Return x as a constant, through which no gradient flows.

    Args:
        variable: the input, of any shape.

    >>> stop_gradient([-1.5, 0.0, 2.0])
    tensor([-1.5000,  0.0000,  2.0000])
    """
    return tensor(variable).detach()


# What a tensor is


@bounded
@documented
def is_tensor(x: object) -> bool:
    """Return whether x is a tensor of torch, or a symbolic one.

    Args:
        x: any object.

    >>> is_tensor(3.0)
    False
    """
    return isinstance(x, (torch.Tensor, torch.fx.Proxy, Symbolic))


@bounded
@documented
def shape(x: TensorLike) -> Shape:
    """Return the sizes along each axis; None for an unknown size of a symbolic tensor.

    >>> shape([[1.0, 2.0]])
    (1, 2)
    """
    return x.shape if isinstance(x, (Symbolic, Weight)) else tuple(sizes(tensor(x)))


@bounded
@documented
def dtype(x: TensorLike) -> str:
    """Return the name of the dtype.

    >>> dtype([1.0])
    'float32'
    """
    return x.dtype if isinstance(x, (Symbolic, Weight)) else dtype_name(tensor(x))


# Blocks and positions


@operation()
def slice(inputs: TensorLike, start_indices: Sequence[int] | Tensor, shape: Sequence[int] | Tensor) -> Tensor:
    """Return the block of a given shape that begins at ``start_indices``.

    Args:
        shape: the sizes of the block; -1: up to the end.

    >>> import torch
    >>> slice(torch.arange(6), (2,), (3,))
    tensor([2, 3, 4])
    """
    inputs = tensor(inputs)
    starts, lengths = _numbers(start_indices), _numbers(shape)
    if not len(starts) == len(lengths) == rank(inputs):
        raise ShapeError(
            "start_indices and shape do not fit the axes.",
            expected=f"{rank(inputs)} numbers each", got=f"start_indices={starts}, shape={lengths}",
        )  # fmt: skip
    for place, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        whole_axis = isinstance(start, int) and start == 0 and (length == -1 or length == shape_of(inputs)[place])
        if not whole_axis:
            inputs = inputs.narrow(place, start, sizes(inputs)[place] - start if length == -1 else length)
    return inputs


@operation(rules.block_written)
def slice_update(inputs: TensorLike, start_indices: Sequence[int] | Tensor, updates: TensorLike) -> Tensor:
    """Return a copy of ``inputs`` with the block at ``start_indices`` replaced.

    Args:
        updates: the new block.

    >>> slice_update([0, 0, 0], (1,), [5, 6])
    tensor([0, 5, 6], dtype=torch.int32)
    """
    inputs, updates = tensor(inputs), tensor(updates)
    if not len(_numbers(start_indices)) == rank(updates) == rank(inputs):
        raise ShapeError(
            "start_indices and updates do not fit the axes.", expected=f"{rank(inputs)} of each",
            got=f"start_indices={start_indices}, updates {shape_of(updates)}",
        )  # fmt: skip
    return _written(inputs, updates.to(runtime.dtype_of(dtype_name(inputs))), _numbers(start_indices), 0)


def _written(inputs: Tensor, updates: Tensor, starts: list[int], axis: int) -> Tensor:
    """Return ``inputs`` with the block written, axis by axis: each region inside the one before."""
    if axis == len(starts):
        return updates
    start, length = starts[axis], sizes(updates)[axis]
    inner = _written(inputs.narrow(axis, start, length), updates, starts, axis + 1)
    return inputs.slice_scatter(inner, axis, start, start + length)  # torch's function takes no traced size before 2.10


def _numbers(values: Sequence[int] | Tensor) -> list[int]:
    return values.tolist() if isinstance(values, torch.Tensor) else list(values)


@operation()
def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Return zeros with ``values`` added at ``indices`` (…, k), each of which is a position along the first k axes.

    >>> scatter([[0], [2]], [1.0, 2.0], (3,))
    tensor([1., 0., 2.])
    """
    values = tensor(values)
    indices = whole_indices(indices, "indices")
    made = runtime.create(torch.zeros, tuple(shape), dtype=torch_dtype(dtype_name(values)), device=values.device)
    return made.index_put(_places(indices), values, accumulate=True)


@operation()
def scatter_update(inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None) -> Tensor:
    """Return a copy of ``inputs`` with ``updates`` at ``indices`` (…, k), replacing or combined with the values there.

    Args:
        reduction: how values are combined: "add", "max", "min", "mul"; None: they are replaced.

    >>> scatter_update([0.0, 0.0], [[1]], [5.0])
    tensor([0., 5.])
    """
    one_of("reduction", reduction, (None, "add", "max", "min", "mul"))
    inputs, indices, updates = tensor(inputs), whole_indices(indices, "indices"), tensor(updates)
    places, updates = _places(indices), updates.to(runtime.dtype_of(dtype_name(inputs)))
    if reduction in (None, "add"):
        return inputs.index_put(places, updates, accumulate=reduction == "add")
    known = sizes(inputs)
    if any(not isinstance(size, int) for size in known):
        raise ArgumentError(
            f"scatter_update with reduction={reduction!r} needs known sizes along every axis.", got=f"inputs {shape_of(inputs)}"
        )
    flat: int | Tensor = 0
    for place, size in zip(places, known, strict=False):
        flat = flat * size + torch.remainder(place, size)
    first, rest = math.prod(known[: len(places)]), math.prod(known[len(places) :])  # positions, and what is at each
    how = {"max": "amax", "min": "amin", "mul": "prod"}[str(reduction)]
    rows = torch.as_tensor(flat).reshape(-1, 1).expand(-1, rest)
    new = torch.broadcast_to(updates, (*sizes(indices)[:-1], *known[len(places) :])).reshape(rows.shape)
    return inputs.reshape(first, rest).scatter_reduce(0, rows, new, how).reshape(known)


def _places(indices: Tensor) -> tuple[Tensor, ...]:
    width = shape_of(indices)[-1]
    if width is None:
        raise ShapeError("Along how many axes the indices are is not known.", got=str(shape_of(indices)))
    return tuple(indices[..., place] for place in range(width))


@operation(mask=along())
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the slices of x along an axis, without that axis.

    Args:
        num: how many slices; None: the size of the axis, which is known then.

    >>> unstack([[1, 2], [3, 4]])
    [tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32)]
    """
    x = tensor(x)
    place = one_axis(axis, rank(x))
    size = shape_of(x)[place]
    if size is None and num is None:
        raise ShapeError(
            f"How many parts axis {place} has is not known.", got=str(shape_of(x)), repair="unstack(x, num=…, axis=…)"
        )
    if None not in (size, num) and size != num:
        raise ShapeError(f"Axis {place} has {size} parts.", expected=f"num={size}, or none", got=f"num={num}")
    found = torch.unbind(x, place)
    return [found[index] for index in range(num if size is None else size)]  # type: ignore[arg-type]  # one is known
