"""Functions of one number each: powers and roots, exponentials, rounding. Integers become floats where needed."""

from __future__ import annotations

from anabranch.graph import rules
from anabranch.graph.facts import pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import dtype, floats, tensor, whole

# Sign and size

OUTSIDE = frozenset(("erf", "erfc", "erfinv", "rsqrt"))  # Keras has them in no namespace of this family


@operation(rules.float_unchanged, pointwise)
def absolute(x: TensorLike) -> Tensor:
    """Return |x|.

    Args:
        x: the input, of any shape.

    Example:
        >>> absolute([-1.5, 0.0, 2.0])
        tensor([1.5000, 0.0000, 2.0000])
    """
    return torch.abs(whole(x))


abs = absolute


@operation(rules.float_unchanged, pointwise)
def negative(x: TensorLike) -> Tensor:
    """Return -x.

    Args:
        x: the input, of any shape.

    Example:
        >>> negative([-1.5, 0.0, 2.0])
        tensor([ 1.5000, -0.0000, -2.0000])
    """
    return torch.neg(tensor(x))


@operation(rules.float_unchanged, pointwise)
def sign(x: TensorLike) -> Tensor:
    """Return -1, 0 or 1.

    Args:
        x: the input, of any shape.

    Example:
        >>> sign([-1.5, 0.0, 2.0])
        tensor([-1.,  0.,  1.])
    """
    return torch.sign(whole(x))


@operation(rules.boolean, pointwise)
def signbit(x: TensorLike) -> Tensor:
    """Return whether the sign is minus, which that of -0.0 is.

    Args:
        x: the input, of any shape.

    Example:
        >>> signbit([-1.5, 0.0, 2.0])
        tensor([ True, False, False])
    """
    return torch.signbit(tensor(x))


# Powers and roots


@operation(rules.float_unchanged, pointwise)
def square(x: TensorLike) -> Tensor:
    """Return x².

    Args:
        x: the input, of any shape.

    Example:
        >>> square([-1.5, 0.0, 2.0])
        tensor([2.2500, 0.0000, 4.0000])
    """
    return torch.square(whole(x))


@operation(rules.as_float, pointwise)
def sqrt(x: TensorLike) -> Tensor:
    """Return √x.

    Args:
        x: the input, of any shape.

    Example:
        >>> sqrt([1.0, 4.0])
        tensor([1., 2.])
    """
    return torch.sqrt(floats(x))


@operation(rules.as_float, pointwise)
def cbrt(x: TensorLike) -> Tensor:
    """Return the cube root, of negative numbers too.

    Args:
        x: the input, of any shape.

    Example:
        >>> cbrt([-1.5, 0.0, 2.0])
        tensor([-1.1447,  0.0000,  1.2599])
    """
    x = floats(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@operation(rules.as_float, pointwise)
def rsqrt(x: TensorLike) -> Tensor:
    """Return 1 / √x.

    Args:
        x: the input, of any shape.

    Example:
        >>> rsqrt([1.0, 4.0])
        tensor([1.0000, 0.5000])
    """
    return torch.rsqrt(floats(x))


@operation(rules.float_unchanged, pointwise)
def reciprocal(x: TensorLike) -> Tensor:
    """Return 1 / x.

    Args:
        x: the input, of any shape.

    Example:
        >>> reciprocal([-1.5, 0.0, 2.0])
        tensor([-0.6667,     inf,  0.5000])
    """
    return torch.reciprocal(tensor(x))


# Exponentials and logarithms


@operation(rules.as_float, pointwise)
def exp(x: TensorLike) -> Tensor:
    """Return e to the power of x.

    Args:
        x: the input, of any shape.

    Example:
        >>> exp([-1.5, 0.0, 2.0])
        tensor([0.2231, 1.0000, 7.3891])
    """
    return torch.exp(floats(x))


@operation(rules.as_float, pointwise)
def exp2(x: TensorLike) -> Tensor:
    """Return 2 to the power of x.

    Args:
        x: the input, of any shape.

    Example:
        >>> exp2([-1.5, 0.0, 2.0])
        tensor([0.3536, 1.0000, 4.0000])
    """
    return torch.exp2(floats(x))


@operation(rules.as_float, pointwise)
def expm1(x: TensorLike) -> Tensor:
    """Return exp(x) - 1, exact where x is near 0.

    Args:
        x: the input, of any shape.

    Example:
        >>> expm1([-1.5, 0.0, 2.0])
        tensor([-0.7769,  0.0000,  6.3891])
    """
    return torch.expm1(floats(x))


@operation(rules.as_float, pointwise)
def log(x: TensorLike) -> Tensor:
    """Return the natural logarithm.

    Args:
        x: the input, of any shape.

    Example:
        >>> log([1.0, 4.0])
        tensor([0.0000, 1.3863])
    """
    return torch.log(floats(x))


@operation(rules.as_float, pointwise)
def log1p(x: TensorLike) -> Tensor:
    """Return log(1 + x), exact where x is near 0.

    Args:
        x: the input, of any shape.

    Example:
        >>> log1p([1.0, 4.0])
        tensor([0.6931, 1.6094])
    """
    return torch.log1p(floats(x))


@operation(rules.as_float, pointwise)
def log2(x: TensorLike) -> Tensor:
    """Return the logarithm to the base 2.

    Args:
        x: the input, of any shape.

    Example:
        >>> log2([1.0, 4.0])
        tensor([0., 2.])
    """
    return torch.log2(floats(x))


@operation(rules.as_float, pointwise)
def log10(x: TensorLike) -> Tensor:
    """Return the logarithm to the base 10.

    Args:
        x: the input, of any shape.

    Example:
        >>> log10([1.0, 4.0])
        tensor([0.0000, 0.6021])
    """
    return torch.log10(floats(x))


# Rounding


@operation(rules.as_float, pointwise)
def floor(x: TensorLike) -> Tensor:
    """Return the greatest integer ≤ x, as a float.

    Args:
        x: the input, of any shape.

    Example:
        >>> floor([-1.5, 0.0, 2.0])
        tensor([-2.,  0.,  2.])
    """
    return torch.floor(floats(x))


@operation(rules.as_float, pointwise)
def ceil(x: TensorLike) -> Tensor:
    """Return the least integer ≥ x, as a float.

    Args:
        x: the input, of any shape.

    Example:
        >>> ceil([-1.5, 0.0, 2.0])
        tensor([-1.,  0.,  2.])
    """
    return torch.ceil(floats(x))


@operation(rules.float_unchanged, pointwise)
def trunc(x: TensorLike) -> Tensor:
    """Return x without what follows the point.

    Args:
        x: the input, of any shape.

    Example:
        >>> trunc([-1.5, 0.0, 2.0])
        tensor([-1.,  0.,  2.])
    """
    x = tensor(x)
    return x if dtype(x) == "bool" else torch.trunc(x)


@operation(mask=pointwise)
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Return x rounded to ``decimals`` positions, halves to the even neighbour.

    Args:
        x: the input, of any shape.
        decimals: how many digits after the point stay.

    Example:
        >>> round([-1.5, 0.0, 2.0])
        tensor([-2.,  0.,  2.])
    """
    x = tensor(x)
    if "float" in dtype(x):
        return torch.round(x, decimals=decimals)
    return torch.round(floats(x), decimals=decimals).to(getattr(torch, dtype(x)))


# Of the normal distribution


@operation(rules.as_float, pointwise)
def erf(x: TensorLike) -> Tensor:
    """Return 2 / √π · ∫₀ˣ exp(-t²) dt.

    Args:
        x: the input, of any shape.

    Example:
        >>> erf([-1.5, 0.0, 2.0])
        tensor([-0.9661,  0.0000,  0.9953])
    """
    return torch.erf(floats(x))


@operation(rules.as_float, pointwise)
def erfc(x: TensorLike) -> Tensor:
    """Return 1 - erf(x), exact where erf(x) is near 1.

    Args:
        x: the input, of any shape.

    Example:
        >>> erfc([-1.5, 0.0, 2.0])
        tensor([1.9661, 1.0000, 0.0047])
    """
    return torch.erfc(floats(x))


@operation(rules.as_float, pointwise)
def erfinv(x: TensorLike) -> Tensor:
    """Return the number whose erf is x.

    Args:
        x: the input, of any shape.

    Example:
        >>> erfinv([0.0, 0.5])
        tensor([0.0000, 0.4769])
    """
    return torch.erfinv(floats(x))


# Of integers, and by other names


@operation(rules.as_float, pointwise)
def fabs(x: TensorLike) -> Tensor:
    """Return |x| as a float.

    Args:
        x: the input, of any shape.

    Example:
        >>> fabs([-1.5, 0.0, 2.0])
        tensor([1.5000, 0.0000, 2.0000])
    """
    return torch.abs(floats(x))


@operation(rules.as_float, pointwise)
def i0(x: TensorLike) -> Tensor:
    """Return the modified Bessel function of the first kind, of order 0.

    Args:
        x: the input, of any shape.

    Example:
        >>> i0([-1.5, 0.0, 2.0])
        tensor([1.6467, 1.0000, 2.2796])
    """
    return torch.i0(floats(x))
