"""Changes of shape: padding, cropping, flattening, joining."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch.fx import Proxy

from anabranch._errors import UnknownIdError
from anabranch.graph import Shape, Tensor as Symbol, Weight
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import dtype_of, rank_of, shape_of, sizes
from anabranch.runtime.weights import native

Pairs = tuple[tuple[int, int], ...]


def flatten(x: Tensor, channels_first: bool = False) -> Tensor:
    """Return (B, …) as (B, n), where ``channels_first`` with the channels moved last before; (B,) as (B, 1)."""
    if len(shape_of(x) or (None, None)) == 1:
        return x.unsqueeze(1)
    return torch.flatten(x.movedim(1, -1) if channels_first else x, 1)


def permute(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return ``x`` with its axes in another order."""
    return x.permute(axes)


def reshape(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Return (B, …) as (B, *shape), one of whose sizes may be None."""
    if None not in shape:
        return x.reshape(-1, *shape)  # type: ignore[arg-type]  # none of them is None
    return x.reshape(x.shape[0], *(-1 if size is None else size for size in shape))


def repeat_vector(x: Tensor, n: int) -> Tensor:
    """Return (B, C) as (B, n, C)."""
    return x.unsqueeze(1).expand(-1, n, -1)


def pad_spatial(x: Tensor, padding: Pairs, first: int) -> Tensor:
    """Return ``x`` with zeros before and after each spatial axis, the first of which is ``first``."""
    channels = (0, 0) if first == 1 else ()
    return F.pad(x, [*channels, *(amount for pair in reversed(padding) for amount in pair)])


def crop_spatial(x: Tensor, cropping: Pairs, first: int, shape: Shape | None) -> Tensor:
    """Return ``x`` without some positions at both ends of each spatial axis; sizes that ``shape`` lacks are checked later."""
    for axis, cut in enumerate(map(sum, cropping), first):
        if shape is not None and shape[axis] is None and cut:
            message = f"nothing is left where {cut} positions are cropped along axis {axis}"
            torch._assert(x.shape[axis] > cut, message)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    inner = tuple(slice(before, -after if after else None) for before, after in cropping)
    return x[(slice(None),) * first + inner]


def concatenate(tensors: list[Tensor], axis: int) -> Tensor:
    """Return tensors joined along ``axis``."""
    return torch.cat(tensors, axis)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Return the greater of each pair of elements."""
    return torch.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Return the lesser of each pair of elements."""
    return torch.minimum(a, b)


def batch_dot(a: Tensor, b: Tensor, axes: tuple[int, int], normalize: bool) -> Tensor:
    """Return Σ a · b over one axis of each, sample by sample: the other axes of a, then those of b; (B, 1) if none is left."""
    ranks = rank_of(a), rank_of(b)
    axes = axes[0] % ranks[0], axes[1] % ranks[1]
    if normalize:
        a, b = F.normalize(a, dim=axes[0], eps=1e-7), F.normalize(b, dim=axes[1], eps=1e-7)  # which float16 has, unlike 1e-12
    if ranks == (2, 2):
        return (a * b).sum(1, keepdim=True)
    left, right = a.movedim(axes[0], -1), b.movedim(axes[1], 1)
    left_sizes, right_sizes = sizes(left, ranks[0])[1:-1], sizes(right, ranks[1])[2:]
    left = left.flatten(1, -2) if ranks[0] > 2 else left.unsqueeze(1)
    right = right.flatten(2) if ranks[1] > 2 else right.unsqueeze(2)
    result = left @ right
    rest = (*left_sizes, *right_sizes)
    return result.reshape(result.shape[0], *rest) if rest else result.squeeze(2)


def embedding(ids: Tensor, table: Weight) -> Tensor:
    """Return the row of ``table`` (V, D) for each id: (…) -> (…, D)."""
    try:
        return F.embedding(ids.long(), native(table))
    except IndexError as error:
        raise UnknownIdError(
            "An id is outside the table.",
            expected=f"integers from 0 to {table.shape[0] - 1}", got=f"ids from {ids.min()} to {ids.max()}",
        ) from error  # fmt: skip


def embedding_product(ids: Tensor, first: Weight, second: Weight) -> Tensor:
    """Return the row of first · second for each id: tables (V, rank) and (rank, D)."""
    return embedding(ids, first) @ native(second)


def cast(x: Tensor, dtype: str) -> Tensor:
    """Return ``x`` as another dtype."""
    return x.to(dtype_of(dtype))


def is_float(x: Tensor | Symbol) -> bool:
    """Return whether a tensor, a symbolic one or a traced value of known type has floats."""
    kind = x.node.meta.get("dtype", "") if isinstance(x, Proxy) else x.dtype
    return "float" in str(kind)


def as_equal_ranks(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors of one rank: those of lower rank gain axes of size 1 after the batch."""
    shapes = [shape_of(tensor) for tensor in tensors]
    rank = max((len(shape) for shape in shapes if shape is not None), default=0)
    return [
        tensor if shape is None or len(shape) == rank else tensor[(slice(None), *(None,) * (rank - len(shape)))]
        for tensor, shape in zip(tensors, shapes, strict=True)
    ]
