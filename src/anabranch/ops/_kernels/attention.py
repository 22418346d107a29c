"""Attention over (…, N, T, H): the mean of values by the softmax of what queries and keys have in common."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.fx import Proxy

from anabranch.graph import Weight
from anabranch.ops._kernels.noise import dropout
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create
from anabranch.runtime.weights import native


class Noise(NamedTuple):
    """Which fraction of the weights of a mean is dropped, and what draws them: None for the process's generator."""

    rate: float = 0.0
    generator: torch.Generator | None = None


NO_NOISE = Noise()


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, causal: bool = False,
    scale: float | None = None, noise: Noise = NO_NOISE,
) -> Tensor:  # fmt: skip
    """Return softmax(scale · query · keyᵀ) · value: (…, N, T, H), (…, N, S, H), (…, N, S, V) -> (…, N, T, V).

    ``mask`` is true where a query may attend to a key; a query that may attend to none gets 0. ``causal`` queries attend to no
    later key. ``scale`` is 1 / √H unless given.
    """
    if noise.generator is not None:
        return attend_by(softmax_scores(query, key, mask=mask, causal=causal, scale=scale), value, noise)
    if mask is not None and causal:
        mask, causal = mask & earlier(query, key), False
    return F.scaled_dot_product_attention(query, key, value, mask, noise.rate, causal, scale=scale)


def softmax_scores(query: Tensor, key: Tensor, *, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    """Return softmax(scale · query · keyᵀ), what each query attends to: (…, N, T, S)."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return masked_scores(torch.matmul(query * factor, key.transpose(-2, -1)), mask, earlier(query, key) if causal else None)


def masked_scores(logits: Tensor, *masks: Tensor | None) -> Tensor:
    """Return the softmax of logits (…, S) over the positions where all masks are true, 0 elsewhere."""
    given = [mask for mask in masks if mask is not None]
    if not given:
        return F.softmax(logits, -1)
    seen = functools.reduce(operator.and_, given)
    # A finite number, so that where everything is masked the gradient is 0 instead of NaN.
    return torch.where(seen, F.softmax(torch.where(seen, logits, -3e4), -1), 0.0)


def attend_by(scores: Tensor, value: Tensor, noise: Noise) -> Tensor:
    """Return the means of values by their weights, some of which are dropped."""
    return torch.matmul(dropped(scores, noise), value)


def dropped(scores: Tensor, noise: Noise) -> Tensor:
    """Return weights, some of which are 0."""
    return dropout(scores, noise.rate, None, noise.generator) if noise.rate else scores


def attend_single(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, causal: bool, noise: Noise) -> Tensor:
    """Return softmax(query · keyᵀ) · value: (…, T, D), (…, S, D), (…, S, V) -> (…, T, V)."""
    q, k, v = (x.unsqueeze(-3) for x in (query, key, value))
    seen = None if mask is None else mask.unsqueeze(-3)
    return attend(q, k, v, mask=seen, causal=causal, scale=1.0, noise=noise).squeeze(-3)


def products(query: Tensor, key: Tensor) -> Tensor:
    """Return query · keyᵀ: (…, T, D), (…, S, D) -> (…, T, S)."""
    return torch.matmul(query, key.transpose(-2, -1))


def summed_tanh(query: Tensor, key: Tensor, *, inside: Weight | None = None, outside: Weight | None = None) -> Tensor:
    """Return Σ outside · tanh(inside · (query + key)): (…, T, D), (…, S, D) -> (…, T, S)."""
    found = query.unsqueeze(-2) + key.unsqueeze(-3)
    found = torch.tanh(found if inside is None else times(found, inside))
    return (found if outside is None else times(found, outside)).sum(-1)


def times(x: Tensor, factor: Weight) -> Tensor:
    """Return ``x`` times a weight that broadcasts."""
    return x * native(factor)


def earlier(query: Tensor, key: Tensor) -> Tensor:
    """Return the mask (T, S) of keys at the position of a query or before."""
    sizes = query.shape[-2], key.shape[-2]
    return create(torch.ones, *sizes, dtype=torch.bool, device=query.device).tril()


def within(query: Tensor, key: Tensor, reach: int) -> Tensor:
    """Return the mask (T, S) of keys fewer than ``reach`` positions from a query."""
    rows, columns = (create(torch.arange, x.shape[-2], device=query.device) for x in (query, key))
    return (rows.unsqueeze(-1) - columns).abs() < reach


def truth(mask: Tensor) -> Tensor:
    """Return a mask as booleans: true where it is not 0."""
    known = mask.node.meta.get("dtype") == "bool" if isinstance(mask, Proxy) else mask.dtype is torch.bool
    return mask if known else mask != 0


def pair_mask(
    *, rows: Tensor | None, columns: Sequence[Tensor | None], pairs: Tensor | None, band: Tensor | None
) -> Tensor | None:
    """Return the mask for (…, N, T, S) of those over queries (…, 1, T), over keys (…, 1, S), and over pairs; None of none."""
    given = [mask.unsqueeze(-2) for mask in columns if mask is not None]
    given += [mask for mask in (None if rows is None else rows.unsqueeze(-1), pairs, band) if mask is not None]
    return functools.reduce(operator.and_, given) if given else None
