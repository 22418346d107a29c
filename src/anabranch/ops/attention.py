"""Attention: queries that choose among values by their keys."""

from __future__ import annotations

import math

from anabranch import runtime
from anabranch._arguments import Positive
from anabranch._errors import ShapeError
from anabranch.graph import Shape, rules
from anabranch.graph.shapes import stretches
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import common, dtype, floats, rank, shape, sizes, tensor


@operation(rules.attention)
def dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    bias: TensorLike | None = None,
    mask: TensorLike | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: Positive | None = None,
) -> Tensor:
    """Return softmax(scale · query · keyᵀ + bias) · value for each head (Vaswani et al. 2017, §3.2.1).

    (B, T, N, H), (B, S, K, H) twice -> (B, T, N, H). Where K divides N, N / K query heads share a head of keys and values.

    Args:
        query: the queries (B, T, N, H).
        key: the keys (B, S, K, H).
        value: the values (B, S, K, H).
        bias: added to the logits (B, N, T, S); None: nothing.
        mask: (B or 1, N or 1, T, S), true where a query may attend to a key; None: everywhere.
        scale: the factor of the logits; None: 1 / √H.
        is_causal: whether a query attends to no later key.
        flash_attention: accepted as in Keras; torch chooses the kernel.
        attn_logits_soft_cap: c, by which logits become c · tanh(logits / c); None: they stay.

    >>> import torch
    >>> dot_product_attention(*[torch.ones(1, 3, 2, 4)] * 3).shape
    torch.Size([1, 3, 2, 4])
    """
    arguments = {"query": query, "key": key, "value": value}
    for name, given in arguments.items():
        if rank(floats(given)) != 4:
            raise ShapeError(
                f"{name} has {rank(tensor(given))} axes.",
                expected="(batch, steps, heads, width)",
                got=str(shape(tensor(given))),
            )
    q, k, v = (x.transpose(1, 2) for x in map(floats, common(*arguments.values())))  # B N T H
    heads, groups = sizes(tensor(query))[2], sizes(tensor(key))[2]
    known = isinstance(heads, int) and isinstance(groups, int)
    if known and heads != groups and (not groups or heads % groups):
        raise ShapeError("The heads of key and value do not divide those of query.", got=f"{heads} and {groups} heads")
    if not known or heads != groups:
        least = 1 if known else torch.sym_max(groups, 1)  # type: ignore[no-untyped-call]  # unknown heads may be none
        times = heads // (groups if known else least)
        k, v = (torch.repeat_interleave(x, times, 1) for x in (k, v))
        if not known:  # as large as those of the queries, or torch would stretch what does not divide them
            k, v = (x.expand(-1, heads, -1, -1) for x in (k, v))
    if len({size for size in (sizes(tensor(key))[1], sizes(tensor(value))[1]) if isinstance(size, int)}) > 1:
        raise ShapeError(
            "There is one value for each key.", expected="key (B, S, K, H), value (B, S, K, V)",
            got=f"{shape(tensor(key))} and {shape(tensor(value))}",
        )  # fmt: skip
    (batch, steps, number, _), (_, keys, _, _) = shape(tensor(query)), shape(tensor(key))
    for name, extra in (("bias", bias), ("mask", mask)):
        if extra is not None:
            _check_fits(name, tensor(extra), (batch, number, steps, keys))
    added = None if bias is None else _matrix(bias).to(runtime.dtype_of(dtype(q)))
    seen = None if mask is None else _matrix(mask) if dtype(tensor(mask)) == "bool" else _matrix(mask) != 0
    if is_causal and (seen is not None or added is not None or attn_logits_soft_cap):
        square = sizes(tensor(query))[1], sizes(tensor(key))[1]
        before = runtime.create(torch.ones, square, dtype=torch.bool, device=q.device).tril()
        seen = before if seen is None else seen & before
    if attn_logits_soft_cap is None:
        if seen is not None:
            added = seen if added is None else torch.where(seen, added, -math.inf)
        causal = is_causal and added is None
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, added, 0.0, causal, scale=scale).transpose(1, 2)
    logits = torch.matmul(q * (1 / math.sqrt(shape(tensor(query))[3] or 1) if scale is None else scale), k.transpose(2, 3))
    logits = torch.tanh(logits / attn_logits_soft_cap) * attn_logits_soft_cap
    logits = logits if added is None else logits + added
    logits = logits if seen is None else torch.where(seen, logits, -math.inf)
    return torch.matmul(torch.softmax(logits, -1), v).transpose(1, 2)


def _matrix(value: TensorLike) -> Tensor:
    """Return a tensor with two axes at least, which torch needs of what is added to logits."""
    value = tensor(value)
    return value if rank(value) > 1 else value.reshape(1, -1)


def _check_fits(name: str, given: Tensor, logits: Shape) -> None:
    """Refuse what torch would stretch the logits (B, N, T, S) for, or not look at where there are none."""
    if stretches(shape(given), logits):
        raise ShapeError(
            f"{name} does not fit the logits.", expected=f"{logits}, or 1 in the place of a size", got=str(shape(given))
        )
