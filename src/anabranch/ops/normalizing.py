"""Means and variances along axes, and numbers scaled by them."""

from __future__ import annotations

from anabranch import config, runtime
from anabranch._arguments import NotNegative
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.ops._public import operation
from anabranch.ops._torch import kernels, torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import dtype, float_pair, floats, one_axis, rank, shape, some_axes, tensor

ARGUMENTS = {
    "epsilon": "added to the variance; None: ``config.epsilon()``.",
    "scale": "the factors; None: 1.",
}


@operation()
def moments(x: TensorLike, axes: Axes, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """Return mean and variance, Σ (x - mean)² / n, over axes.

    Args:
        axes: the axes.
        synchronized: only False.

    >>> moments([1.0, 3.0], axes=[0])
    (tensor(2.), tensor(1.))
    """
    if synchronized:
        raise ArgumentError("Moments of several processes are not combined here.", expected="synchronized=False", got="True")
    x = floats(x)
    places = some_axes(axes, rank(x), "axes")
    return torch.mean(x, places, keepdim=keepdims), torch.var(x, places, correction=0, keepdim=keepdims)


@operation()
def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: NotNegative = 0.001,
) -> Tensor:
    """Return scale · (x - mean) / √(variance + epsilon) + offset along an axis (Ioffe & Szegedy 2015, Alg. 1).

    Args:
        mean: the means, a vector along ``axis``.
        variance: the variances, a vector along ``axis``.
        axis: the axis of the vectors.
        offset: what is added; None: 0.
        epsilon: added to the variance.

    >>> batch_normalization([[1.0], [3.0]], [2.0], [1.0], -1, epsilon=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    x = floats(x)
    kind = runtime.dtype_of(dtype(x))
    place = one_axis(axis, rank(x))
    spread = [-1 if each == place else 1 for each in range(rank(x))]
    vectors = {"mean": mean, "variance": variance, "offset": offset, "scale": scale}
    made = {name: floats(vector) for name, vector in vectors.items() if vector is not None}
    for name, vector in made.items():
        if shape(vector) not in ((shape(x)[place],), (None,)) and shape(x)[place] is not None:
            raise ShapeError(
                f"{name} does not fit axis {axis} of x.", expected=f"({shape(x)[place]},)", got=f"{shape(vector)}, x {shape(x)}"
            )
        made[name] = vector.reshape(spread)
    factor = torch.rsqrt(made["variance"] + epsilon)
    factor = factor * made["scale"] if "scale" in made else factor
    y = (x - made["mean"]) * factor
    return (y + made["offset"] if "offset" in made else y).to(kind)


@operation()
def layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    axis: Axes = -1,
    epsilon: NotNegative | None = None,
    **kwargs: object,
) -> Tensor:
    """Return gamma · (x - mean) / √(variance + epsilon) + beta, mean and variance over axes (Ba et al. 2016).

    Args:
        gamma: the factors; None: 1.
        beta: what is added; None: 0.
        axis: the axis or axes.

    >>> layer_normalization([[1.0, 3.0]])
    tensor([[-1.,  1.]])
    """
    if kwargs and kwargs != {"rms_scaling": False}:  # which is in files of Keras
        raise ArgumentTypeError(f"layer_normalization takes no {next(iter(kwargs))!r}.", repair="ops.rms_normalization")
    x = floats(x)
    axes = _sorted_axes(x, axis)
    kind = runtime.dtype_of(dtype(x))
    gamma, beta = (None if vector is None else tensor(vector).to(kind) for vector in (gamma, beta))
    least = config.epsilon() if epsilon is None else epsilon
    if all(shape(x)[place] is not None for place in axes):
        return kernels.layer_norm(x, gamma, beta, axes, shape(x), least)
    found = torch.var_mean(x, axes, correction=0, keepdim=True)
    y = (x - found[1]) * torch.rsqrt(found[0] + least)
    y = y if gamma is None else y * _spread(gamma, x, axes)
    return y if beta is None else y + _spread(beta, x, axes)


@operation()
def rms_normalization(
    x: TensorLike, scale: TensorLike | None = None, axis: Axes = -1, epsilon: NotNegative | None = None
) -> Tensor:
    """Return scale · x / √(mean(x²) + epsilon), the mean over axes (Zhang & Sennrich 2019).

    Args:
        axis: the axis or axes.
        epsilon: added to the mean square; None: ``config.epsilon()``.

    >>> rms_normalization([[3.0, 4.0]])
    tensor([[0.8485, 1.1314]])
    """
    x = floats(x)
    axes = _sorted_axes(x, axis)
    least = config.epsilon() if epsilon is None else epsilon
    y = x * torch.rsqrt(torch.mean(x * x, axes, keepdim=True) + least)
    return y if scale is None else y * _spread(tensor(scale).to(runtime.dtype_of(dtype(x))), x, axes)


@operation()
def normalize(x: TensorLike, axis: Axes = -1, order: int = 2, epsilon: NotNegative | None = None) -> Tensor:
    """Return x / max(‖x‖, epsilon), the norm over axes.

    Args:
        order: the order of the norm.
        epsilon: the least norm that is divided by; None: ``config.epsilon()``.

    >>> normalize([3.0, 4.0])
    tensor([0.6000, 0.8000])
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ArgumentError("order is not the order of a norm.", expected="an integer ≥ 1", got=repr(order))
    x = floats(x)
    x = x.reshape(1) if rank(x) == 0 else x
    length = torch.linalg.vector_norm(x, order, some_axes(axis, rank(x)), keepdim=True)
    return x / torch.clamp(length, min=config.epsilon() if epsilon is None else epsilon)


@operation()
def psnr(x1: TensorLike, x2: TensorLike, max_val: TensorLike) -> Tensor:
    """Return the peak signal-to-noise ratio, 10 · log₁₀(max_val² / mean((x1 - x2)²)), in decibels.

    Args:
        x1: the first images.
        x2: the second images.
        max_val: the greatest possible value.

    >>> psnr([0.0, 1.0], [0.0, 0.5], max_val=1.0)
    tensor(9.0309)
    """
    if isinstance(max_val, (int, float)) and not max_val >= 0:
        raise ArgumentError("max_val of psnr must be a number ≥ 0.", got=repr(max_val))
    x1, x2 = float_pair(x1, x2)
    error = torch.mean(torch.square(x1 - x2))
    return 20 * torch.log10(tensor(float(max_val) if isinstance(max_val, int) else max_val)) - 10 * torch.log10(error)


def _sorted_axes(x: Tensor, axis: Axes) -> tuple[int, ...]:
    return tuple(sorted(some_axes(axis, rank(x))))


def _spread(vector: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return a vector over ``axes`` as one that broadcasts with x."""
    if axes == tuple(range(rank(x) - len(axes), rank(x))):
        return vector
    own = dict(zip(axes, shape(vector), strict=True)) if rank(vector) == len(axes) else {}
    known = [own.get(place) if size is None else size for place, size in enumerate(shape(x))]
    return vector.reshape([(-1 if size is None else size) if place in axes else 1 for place, size in enumerate(known)])
