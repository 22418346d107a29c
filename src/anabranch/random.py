"""Random numbers in Keras's words: drawn again whenever a model runs, also where a layer's call is traced into it.

``seed``: None draws from the generator of the process, which ``utils.set_random_seed`` seeds; an int gives the same numbers at
every call; a :class:`SeedGenerator` the next ones of a sequence of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree, config, runtime
from anabranch._arguments import Finite, NotNegative, checked, guarded
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError
from anabranch._frames import bound_methods
from anabranch.ops import _kernels as kernels
from anabranch.ops._arguments import documented
from anabranch.ops._types import ShapeLike, Tensor, TensorLike
from anabranch.ops._values import tensor

ARGUMENTS = {
    "dtype: str | None": "the dtype of the result, of floats; None: ``config.floatx()``.",
    "mean": "the mean.",
    "stddev": "the standard deviation.",
    "minval": "the least value.",
    "maxval": "the end of the range, excluded.",
}


@bound_methods
class SeedGenerator:
    """A sequence of random numbers of its own.

    Args:
        seed: where it begins; None takes the next number of the process's own generator.
        name: accepted for Keras's scripts.

    Example:
        >>> from anabranch import random
        >>> def draw():
        ...     seed = random.SeedGenerator(7)
        ...     return [random.uniform((), seed=seed).item() for _ in range(2)]
        >>> draw() == draw(), len(set(draw()))
        (True, 2)
    """

    @checked
    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: object) -> None:
        if seed is not None and not is_integer(seed):
            raise ArgumentTypeError("seed of SeedGenerator must be an integer or None.", got=shown(seed))
        self.seed = int(torch.randint(2**31, ()).item() if seed is None else seed)
        self.name = name
        self._generator: torch.Generator | None = None

    def generator(self) -> torch.Generator:
        """Return torch's generator, on the device in use.

        Example:
            >>> from anabranch.random import SeedGenerator
            >>> SeedGenerator(7).generator().initial_seed()
            7
        """
        self._generator = runtime.generator(self.seed, self._generator)
        return self._generator

    def get_config(self) -> dict[str, Any]:
        """Return where it begins.

        Example:
            >>> from anabranch.random import SeedGenerator
            >>> SeedGenerator(7).get_config()
            {'seed': 7}
        """
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """Make a generator from what ``get_config`` returned.

        Args:
            config: the constructor's arguments.

        Example:
            >>> from anabranch.random import SeedGenerator
            >>> SeedGenerator.from_config({"seed": 7}).seed
            7
        """
        if not isinstance(config, dict):
            raise ArgumentTypeError("config must be what get_config returned.", expected="{'seed': …}", got=shown(config))
        return cls(**config)

    @checked
    def next(self, ordered: bool = True) -> Tensor:
        """Return a new seed of two integers, the next ones of the sequence.

        Args:
            ordered: accepted for Keras's scripts.

        Example:
            >>> from anabranch.random import SeedGenerator
            >>> SeedGenerator(7).next().shape
            torch.Size([2])
        """
        return torch.randint(2**31, (2,), generator=self.generator(), device=runtime.device())


Seed: TypeAlias = int | SeedGenerator | None


def _empty(shape: ShapeLike, dtype: str) -> Tensor:
    """Return room for numbers; its sizes may be traced ones."""
    runtime.synchronise_seed()
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    if any(size is None for size in sizes):
        raise ArgumentError(
            "Random numbers need sizes that are known when they are drawn.", got=str(sizes), repair="ops.shape(x) inside call"
        )
    options: dict[str, Any] = {"dtype": runtime.dtype_of(dtype), "device": runtime.device()}
    traced = next((size for size in _tree.leaves(sizes) if isinstance(size, Proxy)), None)
    if traced is not None:
        return traced.tracer.create_proxy("call_function", torch.empty, (sizes,), options)  # type: ignore[return-value]  # traced
    return torch.empty(sizes, **options)


def _floats(dtype: str | None) -> str:
    dtype = config.floatx() if dtype is None else dtype
    if not isinstance(dtype, str) or "float" not in dtype:
        raise DtypeError("These random numbers are floats.", expected="a float type", got=repr(dtype))
    return dtype


@guarded
@documented
def normal(
    shape: ShapeLike, mean: Finite = 0.0, stddev: NotNegative = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Draw from the normal distribution.

    >>> normal((2, 3)).shape
    torch.Size([2, 3])
    """
    made = _empty(shape, _floats(dtype))
    return made.normal_(mean, stddev, **runtime.drawn_from(seed, made))


@guarded
@documented
def uniform(shape: ShapeLike, minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Seed = None) -> Tensor:
    """Draw uniformly from [minval, maxval).

    >>> bool((uniform((4,)) < 1).all())
    True
    """
    made = _empty(shape, _floats(dtype))
    return made.uniform_(minval, maxval, **runtime.drawn_from(seed, made))


@guarded
@documented
def randint(shape: ShapeLike, minval: int, maxval: int, dtype: str = "int32", seed: Seed = None) -> Tensor:
    """Draw integers uniformly from [minval, maxval).

    >>> bool((randint((4,), 0, 3) < 3).all())
    True
    """
    made = _empty(shape, dtype)
    return made.random_(minval, maxval, **runtime.drawn_from(seed, made))


@guarded
@documented
def truncated_normal(
    shape: ShapeLike, mean: Finite = 0.0, stddev: NotNegative = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Draw from the normal distribution within two standard deviations of the mean.

    >>> bool((truncated_normal((4,)).abs() <= 2).all())
    True
    """
    made = _empty(shape, _floats(dtype))
    edge = 0.9544997361036416  # the part of the distribution within two standard deviations
    return torch.erfinv(made.uniform_(-edge, edge, **runtime.drawn_from(seed, made))) * (2**0.5 * stddev) + mean


@guarded
@documented
def gamma(shape: ShapeLike, alpha: TensorLike, dtype: str | None = None, seed: Seed = None) -> Tensor:
    """Draw from the gamma distribution of scale 1, with the density x^(α - 1)·exp(-x) / Γ(α).

    Args:
        alpha: α > 0, the shape of the distribution; a number, or a tensor that broadcasts to ``shape``.

    >>> bool((gamma((100,), 2.0) > 0).all())
    True
    """
    made = _empty(shape, _floats(dtype))
    return torch._standard_gamma(_over(made, _positive(alpha, "alpha")), **runtime.drawn_from(seed, made)).to(made.dtype)


@guarded
@documented
def beta(shape: ShapeLike, alpha: TensorLike, beta: TensorLike, dtype: str | None = None, seed: Seed = None) -> Tensor:
    """Draw from the beta distribution, with a density like x^(α - 1)·(1 - x)^(β - 1) on (0, 1).

    Args:
        alpha: α > 0; a number, or a tensor that broadcasts to ``shape``.
        beta: β > 0; a number, or a tensor that broadcasts to ``shape``.

    >>> 0 <= beta((), 2.0, 3.0).item() <= 1
    True
    """
    made = _empty(shape, _floats(dtype))
    both = torch.stack([_over(made, _positive(alpha, "alpha")), _over(made, _positive(beta, "beta"))], -1)
    return torch._sample_dirichlet(both, **runtime.drawn_from(seed, made))[..., 0].to(made.dtype)


@guarded
@documented
def binomial(
    shape: ShapeLike, counts: TensorLike, probabilities: TensorLike, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Draw how often something happens in so many trials.

    Args:
        counts: the numbers of trials; a number, or a tensor that broadcasts to ``shape``.
        probabilities: how likely it is in each trial; a number, or a tensor that broadcasts to ``shape``.

    >>> binomial((2,), 5, 1.0)
    tensor([5., 5.])
    """
    made = _empty(shape, _floats(dtype))
    trials, chances = _over(made, _within(counts, "counts")), _over(made, _within(probabilities, "probabilities", most=1))
    unknown = trials.isnan()  # of which torch's sampler finds no end
    drawn = torch.binomial(torch.where(unknown, 0.0, trials), chances, **runtime.drawn_from(seed, made))
    return torch.where(unknown, torch.nan, drawn).to(made.dtype)


def _within(value: TensorLike, name: str, most: float = math.inf) -> TensorLike:
    """Return a value, a number only within bounds; those in a tensor are not read, which would wait for the device."""
    if isinstance(value, (int, float)) and not 0 <= value <= most:
        raise ArgumentError(f"{name} is outside the distribution.", expected=f"a number from 0 to {most}", got=repr(value))
    return value


def _positive(value: TensorLike, name: str) -> TensorLike:
    """Return a value, a number only if it is positive and finite; those in a tensor are not read."""
    if isinstance(value, (int, float)) and not 0 < value < math.inf:
        raise ArgumentError(f"{name} is outside the distribution.", expected="a finite number > 0", got=repr(value))
    return value


def _over(made: Tensor, value: TensorLike) -> Tensor:
    """Return a value in each position of the result, in float32 at least."""
    wide = torch.float64 if made.dtype == torch.float64 else torch.float32
    return torch.zeros_like(made, dtype=wide) + tensor(value).to(runtime.device())


@guarded
@documented
def categorical(logits: Tensor, num_samples: int, dtype: str = "int32", seed: Seed = None) -> Tensor:
    """Draw class indices with probabilities softmax(logits): (B, C) -> (B, num_samples).

    Args:
        logits: the logits (B, C).
        num_samples: how many for each row.

    >>> import torch
    >>> categorical(torch.zeros(2, 5), 3).shape
    torch.Size([2, 3])
    """
    chances = torch.softmax(tensor(logits), dim=-1)
    found = torch.multinomial(chances, num_samples, replacement=True, **runtime.drawn_from(seed, chances))
    return found.to(runtime.dtype_of(dtype))


@guarded
@documented
def dropout(inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None) -> Tensor:
    """Set a fraction ``rate`` of the elements to 0 and scale the others by 1 / (1 - rate).

    Args:
        rate: the fraction that becomes 0.
        noise_shape: 1 along axes whose elements become 0 together; None: each on its own.

    >>> import torch
    >>> dropout(torch.ones(4), 0.5).shape
    torch.Size([4])
    """
    if not 0 <= rate <= 1:
        raise ArgumentError("A rate is in [0, 1].", got=repr(rate))
    inputs = tensor(inputs)
    return kernels.dropout(inputs, rate, noise_shape, runtime.drawn_from(seed, inputs).get("generator"))


@guarded
@documented
def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """Shuffle x along an axis.

    >>> import torch
    >>> sorted(shuffle(torch.arange(3)).tolist())
    [0, 1, 2]
    """
    x = tensor(x)
    keys = _empty((x.shape[axis],), "float32")
    return torch.index_select(x, axis, torch.argsort(keys.uniform_(0, 1, **runtime.drawn_from(seed, keys))))


__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle", "truncated_normal",
    "uniform",
]  # fmt: skip
__dir__ = __all__.copy
