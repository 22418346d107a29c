"""Keras's mathematics beyond NumPy: error functions, sums of exponentials, segments, the greatest scores, distances."""

from __future__ import annotations

from anabranch import runtime
from anabranch._errors import ArgumentError
from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import (
    check_rank,
    dtype,
    float_pair,
    floats,
    number_of,
    rank,
    reduced,
    shape,
    sizes,
    tensor,
    torch_dtype,
    whole_indices,
)

ARGUMENTS = {
    "data": "the rows (n, …).",
    "segment_ids": "the segment of each row (n,); rows of others than 0 … num_segments - 1 are left out.",
    "num_segments": "how many segments there are; None: as many as the ids say.",
    "sorted: bool": "accepted as in Keras; it does not change the result.",
}


@operation(rules.as_float, pointwise)
def rsqrt(x: TensorLike) -> Tensor:
    """Return 1 / √x.

    >>> rsqrt([1.0, 4.0])
    tensor([1.0000, 0.5000])
    """
    return torch.rsqrt(floats(x))


@operation(rules.as_float, pointwise)
def erf(x: TensorLike) -> Tensor:
    """Return 2 / √π · ∫₀ˣ exp(-t²) dt, the error function.

    >>> erf([0.0, 0.5])
    tensor([0.0000, 0.5205])
    """
    return torch.erf(floats(x))


@operation(rules.as_float, pointwise)
def erfc(x: TensorLike) -> Tensor:
    """Return 1 - erf(x), exact for great x too.

    >>> erfc([0.0, 3.0])
    tensor([1.0000e+00, 2.2090e-05])
    """
    return torch.erfc(floats(x))


@operation(rules.as_float, pointwise)
def erfinv(x: TensorLike) -> Tensor:
    """Return the inverse of erf on (-1, 1).

    >>> erfinv([0.0, 0.5])
    tensor([0.0000, 0.4769])
    """
    return torch.erfinv(floats(x))


@operation(rules.mean, along())
def logsumexp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return log Σ exp(x) over the axes, without overflow.

    >>> logsumexp([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([2.3133, 5.1269])
    """
    return reduced(torch.logsumexp, floats(x), axis, keepdims)


@operation()
def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the Euclidean distances between rows: (…, n, d), (…, m, d) -> (…, n, m).

    Args:
        x: the rows (…, n, d).
        y: the rows (…, m, d).

    >>> cdist([[0.0, 0.0]], [[3.0, 4.0]])
    tensor([[5.]])
    """
    x, y = float_pair(x, y)
    kind = torch_dtype(dtype(x))
    return torch.cdist(x.float(), y.float()).to(kind) if kind.itemsize == 2 else torch.cdist(x, y)  # torch has none of 16 bits


@operation()
def logdet(x: TensorLike) -> Tensor:
    """Return log(det(x)): (…, n, n) -> (…).

    Args:
        x: the matrices (…, n, n).

    >>> logdet([[2.0, 0.0], [0.0, 4.0]])
    tensor(2.0794)
    """
    return torch.logdet(floats(x))


# The greatest scores


@operation()
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the ``k`` greatest elements along the last axis and their indices (int32).

    Args:
        k: how many.
        sorted: whether they are in descending order.

    >>> top_k([1.0, 3.0, 2.0], 2)
    (tensor([3., 2.]), tensor([1, 2], dtype=torch.int32))
    """
    x = tensor(x)
    size = shape(x)[-1] if rank(x) else 0
    if size is not None and not 0 <= k <= size:
        raise ArgumentError(
            f"There are no {k} along the last axis.", expected=f"k from 0 to {size}", got=f"x {shape(x)}, k={k}"
        )
    found = torch.topk(x, k, sorted=sorted)
    return found[0], found[1].to(torch.int32)


@operation()
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Return whether the score of each target is among the ``k`` greatest of its row: (B,), (B, C) -> (B,).

    Args:
        targets: the class indices (B,).
        predictions: the scores (B, C).
        k: how many.

    >>> in_top_k([1], [[0.1, 0.9]], 1)
    tensor([True])
    """
    if isinstance(k, int) and k < 0:
        raise ArgumentError("k of in_top_k must be ≥ 0.", got=repr(k))
    targets, predictions = whole_indices(targets, "targets"), tensor(predictions)
    check_rank(predictions, (2,), "(batch, classes)", "predictions")
    count = sizes(predictions)[1]
    known = (targets >= 0) & (targets < count)  # no other is among the greatest
    chosen = torch.gather(predictions, 1, torch.where(known, targets, 0).unsqueeze(1))
    return (torch.sum(predictions > chosen, 1) < k) & known


# Segments


@operation()
def segment_sum(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the sum of the rows of each segment: (n, …) -> (num_segments, …); 0 for an empty one.

    >>> segment_sum([1.0, 2.0, 4.0], [0, 0, 1])
    tensor([3., 4.])
    """
    return _segments(data, segment_ids, num_segments, "sum", 0)


@operation()
def segment_max(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the maximum of the rows of each segment: (n, …) -> (num_segments, …); -∞ for an empty one.

    >>> segment_max([1.0, 2.0, 4.0], [0, 0, 1], num_segments=3)
    tensor([2., 4., -inf])
    """
    return _segments(data, segment_ids, num_segments, "amax", None)


@operation()
def segment_min(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the minimum of the rows of each segment: (n, …) -> (num_segments, …); ∞ for an empty one.

    >>> segment_min([[1.0, 8.0], [2.0, 4.0]], [0, 0])
    tensor([[1., 4.]])
    """
    return _segments(data, segment_ids, num_segments, "amin", None)


@operation()
def segment_prod(data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """Return the product of the rows of each segment: (n, …) -> (num_segments, …); 1 for an empty one.

    >>> segment_prod([3, 2, 4, 5], [1, 0, 1, 1])
    tensor([ 2, 60], dtype=torch.int32)
    """
    return _segments(data, segment_ids, num_segments, "prod", 1)


def _segments(data: TensorLike, ids: TensorLike, count: int | None, how: str, empty: int | None) -> Tensor:
    data, ids = tensor(data), whole_indices(ids, "segment_ids")
    if dtype(data) == "bool":
        return _segments(data.to(torch.uint8), ids, count, how, empty).to(torch.bool)
    count = int(ids.max()) + 1 if count is None else number_of("num_segments", count, 0)
    if empty is None:
        kind = torch_dtype(dtype(data))
        limits = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
        low = -float("inf") if kind.is_floating_point else limits.min
        high = float("inf") if kind.is_floating_point else limits.max
        empty = low if how == "amax" else high  # type: ignore[assignment]  # ∞ is a float
    ids = torch.where((ids >= 0) & (ids < count), ids, count)  # what is in no segment goes to one more, which is cut off
    wide = ids.reshape(-1, *(1,) * (rank(data) - 1)).expand_as(data)
    size = (count + 1, *(data.shape[place] for place in range(1, rank(data))))
    made = runtime.create(torch.full, size, empty, dtype=torch_dtype(dtype(data)), device=data.device)
    return made.scatter_reduce(0, wide, data, how).narrow(0, 0, count)
