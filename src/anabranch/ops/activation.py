"""Activations: non-linearities element by element and along an axis. Integers become floats.

Every function here is also one of ``anabranch.activations``, by the same name.
"""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import along, pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import F, kernels, torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import axis_in, floats, rank, some_axes, tensor


@operation(rules.float_unchanged, pointwise)
def relu(x: TensorLike) -> Tensor:
    """Return max(x, 0) (Nair & Hinton 2010).

    >>> relu([-1.0, 2.0])
    tensor([0., 2.])
    """
    return kernels.relu(tensor(x))


@operation(rules.float_unchanged, pointwise)
def relu6(x: TensorLike) -> Tensor:
    """Return min(max(x, 0), 6) (Howard et al. 2017).

    >>> relu6([-1.0, 2.0, 8.0])
    tensor([0., 2., 6.])
    """
    return kernels.relu(tensor(x), max_value=6.0)


@operation(rules.as_float, pointwise)
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """Return x for x ≥ 0, negative_slope · x for x < 0 (Maas et al. 2013).

    Args:
        negative_slope: the slope below 0.

    >>> leaky_relu([-1.0, 2.0])
    tensor([-0.2000,  2.0000])
    """
    return kernels.relu(floats(x), negative_slope)


@operation(rules.as_float, pointwise)
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x for x > 0, alpha · (exp(x) - 1) for x ≤ 0 (Clevert et al. 2016).

    Args:
        alpha: the negative of the limit for x → -∞.

    >>> elu([-1.0, 2.0])
    tensor([-0.6321,  2.0000])
    """
    return F.elu(floats(x), alpha)


@operation(rules.as_float, pointwise)
def selu(x: TensorLike) -> Tensor:
    """Return scale · elu(x, alpha) with the constants that preserve mean 0 and variance 1 (Klambauer et al. 2017).

    >>> selu([-1.0, 2.0])
    tensor([-1.1113,  2.1014])
    """
    return F.selu(floats(x))


@operation(rules.as_float, pointwise)
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0) (Barron 2017).

    Args:
        alpha: the negative of the limit for x → -∞.

    >>> celu([-1.0, 2.0])
    tensor([-0.6321,  2.0000])
    """
    return F.celu(floats(x), alpha)


@operation(rules.as_float, pointwise)
def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """Return x · Φ(x), Φ the cumulative distribution function of the normal distribution (Hendrycks & Gimpel 2016).

    Args:
        approximate: whether Φ is approximated by tanh.

    >>> gelu([-1.0, 2.0])
    tensor([-0.1588,  1.9546])
    """
    return F.gelu(floats(x), approximate="tanh" if approximate else "none")


@operation(rules.as_float, pointwise)
def silu(x: TensorLike) -> Tensor:
    """Return x · sigmoid(x) (Ramachandran et al. 2017).

    >>> silu([-1.0, 2.0])
    tensor([-0.2689,  1.7616])
    """
    return F.silu(floats(x))


swish = silu


@operation(rules.as_float, pointwise)
def sigmoid(x: TensorLike) -> Tensor:
    """Return 1 / (1 + exp(-x)).

    >>> sigmoid([-1.0, 0.0])
    tensor([0.2689, 0.5000])
    """
    return torch.sigmoid(floats(x))


@operation(rules.as_float, pointwise)
def hard_sigmoid(x: TensorLike) -> Tensor:
    """Return min(max(x + 3, 0), 6) / 6.

    >>> hard_sigmoid([-6.0, 0.0, 1.5])
    tensor([0.0000, 0.5000, 0.7500])
    """
    return F.hardsigmoid(floats(x))


@operation(rules.as_float, pointwise)
def hard_silu(x: TensorLike) -> Tensor:
    """Return x · min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).

    >>> hard_silu([-3.0, 3.0])
    tensor([-0., 3.])
    """
    return F.hardswish(floats(x))


hard_swish = hard_silu


@operation(rules.as_float, pointwise)
def hard_tanh(x: TensorLike) -> Tensor:
    """Return min(max(x, -1), 1).

    >>> hard_tanh([-3.0, 0.5])
    tensor([-1.0000,  0.5000])
    """
    return F.hardtanh(floats(x))


@operation(rules.as_float, pointwise)
def tanh_shrink(x: TensorLike) -> Tensor:
    """Return x - tanh(x).

    >>> tanh_shrink([0.0, 2.0])
    tensor([0.0000, 1.0360])
    """
    return F.tanhshrink(floats(x))


@operation(rules.as_float, pointwise)
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Return x - threshold for x > threshold, x + threshold for x < -threshold, 0 between.

    Args:
        threshold: half the width of the interval that becomes 0.

    >>> soft_shrink([-2.0, 0.25, 1.0])
    tensor([-1.5000,  0.0000,  0.5000])
    """
    return F.softshrink(floats(x), threshold)


@operation(rules.as_float, pointwise)
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Return x where |x| > threshold, 0 elsewhere.

    Args:
        threshold: the greatest absolute value that becomes 0.

    >>> hard_shrink([-2.0, 0.25])
    tensor([-2.,  0.])
    """
    return F.hardshrink(floats(x), threshold)


@operation(rules.float_unchanged, pointwise)
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """Return x where x > threshold, default_value elsewhere.

    Args:
        threshold: the greatest value that is replaced.
        default_value: what replaces it.

    >>> threshold([0.5, 2.0], 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return F.threshold(tensor(x), threshold, default_value)


@operation(rules.as_float, pointwise)
def softplus(x: TensorLike) -> Tensor:
    """Return log(1 + exp(x)).

    >>> softplus([-1.0, 0.0])
    tensor([0.3133, 0.6931])
    """
    return F.softplus(floats(x))


@operation(rules.as_float, pointwise)
def softsign(x: TensorLike) -> Tensor:
    """Return x / (1 + |x|).

    >>> softsign([-1.0, 3.0])
    tensor([-0.5000,  0.7500])
    """
    return F.softsign(floats(x))


@operation(rules.as_float, pointwise)
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """Return (x + √(x² + b)) / 2 (Barron 2021).

    Args:
        b: the greater, the smoother the bend at 0.

    >>> squareplus([0.0, 1.5])
    tensor([1., 2.])
    """
    x = floats(x)
    return (x + torch.sqrt(x * x + b)) / 2


@operation(rules.as_float, pointwise)
def log_sigmoid(x: TensorLike) -> Tensor:
    """Return log(sigmoid(x)).

    >>> log_sigmoid([-1.0, 0.0])
    tensor([-1.3133, -0.6931])
    """
    return F.logsigmoid(floats(x))


@operation(rules.as_float, pointwise)
def sparse_plus(x: TensorLike) -> Tensor:
    """Return 0 for x ≤ -1, (x + 1)² / 4 for -1 < x < 1, x for x ≥ 1.

    >>> sparse_plus([-2.0, 0.0, 2.0])
    tensor([0.0000, 0.2500, 2.0000])
    """
    x = floats(x)
    return torch.where(x >= 1, x, x.clamp(-1.0, 1.0).add(1).square() / 4)


@operation(rules.as_float, pointwise)
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """Return min(max((x + 1) / 2, 0), 1).

    >>> sparse_sigmoid([-2.0, 0.0, 0.5])
    tensor([0.0000, 0.5000, 0.7500])
    """
    return (floats(x).clamp(-1.0, 1.0) + 1) / 2


# Along an axis


@operation(rules.along, along())
def softmax(x: TensorLike, axis: Axes = -1) -> Tensor:
    """Return exp(x) / Σ exp(x), the sum along an axis.

    Args:
        axis: the axis of the sum; several are taken as one; None: all.

    >>> softmax([0.0, 1.0])
    tensor([0.2689, 0.7311])
    """
    x = floats(x)
    return kernels.softmax(x, axis_in(axis, x) if isinstance(axis, int) else some_axes(axis, rank(x)))


@operation(rules.along, along())
def log_softmax(x: TensorLike, axis: Axes = -1) -> Tensor:
    """Return x - log Σ exp(x), the sum along an axis.

    Args:
        axis: the axis of the sum; several are taken as one; None: all.

    >>> log_softmax([0.0, 1.0])
    tensor([-1.3133, -0.3133])
    """
    x = floats(x)
    if isinstance(axis, int):
        return F.log_softmax(x, axis_in(axis, x))
    return x - torch.logsumexp(x, some_axes(axis, rank(x)), True)


@operation(rules.along, along())
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """Return the Euclidean projection of x onto the probability simplex along an axis (Martins & Astudillo 2016, Alg. 1).

    >>> sparsemax([0.0, 0.5, 2.0])
    tensor([0., 0., 1.])
    """
    x = floats(x)
    axis = axis_in(axis, x)
    ranked = torch.sort(x, axis, descending=True)[0]
    count = torch.ones_like(ranked).cumsum(axis)
    support = 1 + count * ranked > ranked.cumsum(axis)
    excess = torch.where(support, ranked, 0.0).sum(axis, True) - 1
    return torch.relu(x - excess / support.sum(axis, True))


@operation(rules.halved, along())
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """Return a · sigmoid(b), where a and b are the halves of x along an axis (Dauphin et al. 2017).

    Args:
        x: the input, whose size along ``axis`` is even.
        axis: the axis that is halved.

    >>> glu([1.0, 2.0, 0.0, 0.0])
    tensor([0.5000, 1.0000])
    """
    x = floats(x)
    return F.glu(x, axis_in(axis, x))
