"""Non-linearities, element by element and along an axis. Whole numbers become floats."""

from __future__ import annotations

import math
from typing import Any

from anabranch._errors import ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._values import dtype, floats, one_axis, rank, shape, some_axes, tensor


@operation(rules.float_kept, pointwise)
def relu(x: Any) -> Any:
    """Return max(x, 0)."""
    return kernels.relu(tensor(x))


@operation(rules.float_kept, pointwise)
def relu6(x: Any) -> Any:
    """Return x cut to [0, 6]."""
    return kernels.relu(tensor(x), max_value=6.0)


@operation(rules.as_float, pointwise)
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """Return x above 0, negative_slope · x below."""
    return kernels.relu(floats(x), negative_slope)


@operation(rules.as_float, pointwise)
def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x above 0, alpha · (exp(x) - 1) below."""
    return kernels.elu(floats(x), alpha)


@operation(rules.as_float, pointwise)
def selu(x: Any) -> Any:
    """Return scale · elu(x, alpha) with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return kernels.selu(floats(x))


@operation(rules.as_float, pointwise)
def celu(x: Any, alpha: float = 1.0) -> Any:
    """Return max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)."""
    return kernels.celu(floats(x), alpha)


@operation(rules.as_float, pointwise)
def gelu(x: Any, approximate: bool = True) -> Any:
    """Return x · Φ(x) (Hendrycks & Gimpel 2016), or its tanh approximation."""
    return kernels.gelu(floats(x), approximate)


@operation(rules.as_float, pointwise)
def silu(x: Any) -> Any:
    """Return x · sigmoid(x)."""
    return kernels.silu(floats(x))


swish = silu


@operation(rules.as_float, pointwise)
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return kernels.sigmoid(floats(x))


@operation(rules.as_float, pointwise)
def hard_sigmoid(x: Any) -> Any:
    """Return relu6(x + 3) / 6."""
    return kernels.hard_sigmoid(floats(x))


@operation(rules.as_float, pointwise)
def hard_silu(x: Any) -> Any:
    """Return x · relu6(x + 3) / 6."""
    return kernels.hard_silu(floats(x))


hard_swish = hard_silu


@operation(rules.as_float, pointwise)
def hard_tanh(x: Any) -> Any:
    """Return x cut to [-1, 1]."""
    return kernels.hard_tanh(floats(x))


@operation(rules.as_float, pointwise)
def tanh_shrink(x: Any) -> Any:
    """Return x - tanh(x)."""
    return kernels.tanh_shrink(floats(x))


@operation(rules.as_float, pointwise)
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x moved towards 0 by ``threshold``, and 0 within it."""
    return kernels.soft_shrink(floats(x), threshold)


@operation(rules.as_float, pointwise)
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x where |x| > threshold, 0 elsewhere."""
    return kernels.hard_shrink(floats(x), threshold)


@operation(rules.float_kept, pointwise)
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """Return x above ``threshold``, ``default_value`` elsewhere."""
    return kernels.threshold(tensor(x), threshold, default_value)


@operation(rules.as_float, pointwise)
def softplus(x: Any) -> Any:
    """Return log(1 + exp(x))."""
    return kernels.softplus(floats(x))


@operation(rules.as_float, pointwise)
def softsign(x: Any) -> Any:
    """Return x / (1 + |x|)."""
    return kernels.softsign(floats(x))


@operation(rules.as_float, pointwise)
def squareplus(x: Any, b: float = 4) -> Any:
    """Return (x + √(x² + b)) / 2."""
    return kernels.squareplus(floats(x), b)


@operation(rules.as_float, pointwise)
def log_sigmoid(x: Any) -> Any:
    """Return log(sigmoid(x))."""
    return kernels.log_sigmoid(floats(x))


@operation(rules.as_float, pointwise)
def sparse_plus(x: Any) -> Any:
    """Return 0 below -1, x above 1, (x + 1)² / 4 between."""
    return kernels.sparse_plus(floats(x))


@operation(rules.as_float, pointwise)
def sparse_sigmoid(x: Any) -> Any:
    """Return (x + 1) / 2 cut to [0, 1]."""
    return kernels.sparse_sigmoid(floats(x))


# Along an axis


@operation(rules.along, along())
def softmax(x: Any, axis: Any = -1) -> Any:
    """Return exp(x) / Σ exp(x) along an axis, along several taken as one, or along all (None)."""
    x = floats(x)
    return kernels.softmax(x, one_axis(axis, rank(x)) if isinstance(axis, int) else some_axes(axis, rank(x)))


@operation(rules.along, along())
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """Return log softmax(x)."""
    x = floats(x)
    if isinstance(axis, int):
        return kernels.log_softmax(x, one_axis(axis, rank(x)))
    return x - torch.logsumexp(x, some_axes(axis, rank(x)), True)


@operation(rules.along, along())
def sparsemax(x: Any, axis: int = -1) -> Any:
    """Return the nearest point whose elements along an axis are ≥ 0 and sum to 1 (Martins & Astudillo 2016)."""
    x = floats(x)
    return kernels.sparsemax(x, one_axis(axis, rank(x)))


@operation(rules.halved, along())
def glu(x: Any, axis: int = -1) -> Any:
    """Return a · sigmoid(b) for the halves a, b of x along an axis."""
    x = floats(x)
    place = one_axis(axis, rank(x))
    size = shape(x)[place]
    if size is not None and size % 2:
        raise ShapeError("glu halves an axis.", expected="an even size", got=f"{shape(x)}, axis={axis}")
    return kernels.glu(x, place)


# Attention


@operation()
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """Return softmax(scale · query · keyᵀ + bias) · value: (B, T, N, H), (B, S, K, H) twice -> (B, T, N, H).

    N heads share K key heads where K divides N. ``mask`` (B or 1, N or 1, T, S) is true where a query sees a key; ``is_causal``
    lets it see none that comes later; the cap c bends logits to c · tanh(logits / c). ``scale`` is 1 / √H unless given. Torch
    chooses the kernel; ``flash_attention`` says nothing.
    """
    arguments = {"query": query, "key": key, "value": value}
    for name, given in arguments.items():
        if rank(floats(given)) != 4:
            raise ShapeError(
                f"{name} has {rank(tensor(given))} axes.", expected="(batch, steps, heads, width)", got=str(shape(given))
            )
    q, k, v = (floats(given).transpose(1, 2) for given in arguments.values())  # B N T H
    heads, kept = shape(tensor(query))[2], shape(tensor(key))[2]
    if heads is not None and kept is not None and heads != kept:
        if heads % kept:
            raise ShapeError("The heads of key and value do not divide those of query.", got=f"{heads} and {kept} heads")
        k, v = (torch.repeat_interleave(x, heads // kept, 1) for x in (k, v))
    added = None if bias is None else floats(bias)
    seen = None if mask is None else tensor(mask) if dtype(tensor(mask)) == "bool" else tensor(mask) != 0
    if is_causal and (seen is not None or added is not None or attn_logits_soft_cap):
        before = torch.ones_like(q[0, 0, :, :1] * k[0, 0, :, 0], dtype=torch.bool).tril()
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
