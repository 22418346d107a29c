"""First values of weights: each initializer is plain data that fills a NumPy array from a random generator.

Families are reduced to few formulas: Glorot, He and LeCun are all :class:`VarianceScaling`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from anabranch import config
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, unknown

if TYPE_CHECKING:
    import numpy as np

Array = Any


class Initializer:
    """Fill an array: subclass and write ``fill(shape, rng)``, or pass any ``f(shape, dtype=None)`` instead."""

    seed: int | None = None

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of ``shape`` drawn from ``rng``."""
        raise NotImplementedError(f"{type(self).__name__} must write fill(shape, rng)")

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None, *, rng: np.random.Generator | None = None) -> Array:
        """Return an array of ``shape``; the initializer's own ``seed`` wins over ``rng``."""
        import numpy as np

        if self.seed is not None or rng is None:
            rng = np.random.default_rng(self.seed)
        return np.asarray(self.fill(tuple(shape), rng)).astype(dtype or config.floatx())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Make one from what ``get_config`` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class Zeros(Initializer):
    """Every element is 0."""

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return zeros."""
        import numpy as np

        return np.zeros(shape)


class Ones(Initializer):
    """Every element is 1."""

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ones."""
        import numpy as np

        return np.ones(shape)


class Constant(Initializer):
    """Every element is ``value``, a number or an array of the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ``value`` in every place."""
        import numpy as np

        return np.full(shape, self.value)


class RandomNormal(Initializer):
    """Draw from a normal distribution N(mean, stddev²)."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return normal draws."""
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(Initializer):
    """Draw from N(mean, stddev²), again wherever a draw lies beyond two stddev."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return truncated normal draws."""
        return self.mean + self.stddev * _truncated(shape, rng)


class RandomUniform(Initializer):
    """Draw from a uniform distribution on [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return uniform draws."""
        return rng.uniform(self.minval, self.maxval, shape)


class VarianceScaling(Initializer):
    """Draw with variance scale / n, n being fan-in, fan-out or their mean.

    ``distribution``: ``truncated_normal`` (its stddev enlarged by 1 / 0.8796, what truncation takes), ``untruncated_normal``,
    or ``uniform`` on [-l, l), l = sqrt(3 · scale / n). Sources: Glorot & Bengio 2010; He et al. 2015, section 2.2; LeCun et al.
    1998.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0:
            raise ArgumentError("scale must be positive.", got=repr(scale))
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise unknown("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise unknown("distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform"))
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed
        self.input_axes, self.output_axes = input_axes, output_axes

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return draws scaled by the fans of ``shape``."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        return math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated(shape, rng)


class _Scaled(VarianceScaling):
    """A named member of the family: seed and axes are left to choose."""

    scaling: tuple[float, Literal["fan_in", "fan_out", "fan_avg"], Literal["truncated_normal", "uniform"]]

    def __init__(
        self, seed: int | None = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(*self.scaling, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Return what is left to choose."""
        return {"seed": self.seed, "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_Scaled):
    """Uniform with variance 1 / fan_avg (Glorot & Bengio 2010): Keras's default for kernels."""

    scaling = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with variance 1 / fan_avg (Glorot & Bengio 2010)."""

    scaling = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform with variance 2 / fan_in (He et al. 2015)."""

    scaling = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in (He et al. 2015)."""

    scaling = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform with variance 1 / fan_in (LeCun et al. 1998)."""

    scaling = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in (LeCun et al. 1998)."""

    scaling = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A (semi-)orthogonal matrix times ``gain``; leading axes are flattened to rows (Saxe et al. 2013)."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return the Q of a normal matrix, signs made unique by R's diagonal."""
        import numpy as np

        if len(shape) < 2:
            raise ShapeError("Orthogonal fills matrices.", expected="a shape of rank ≥ 2", got=str(shape))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


class Identity(Initializer):
    """The identity matrix times ``gain``."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ones on the diagonal."""
        import numpy as np

        if len(shape) != 2:
            raise ShapeError("Identity fills matrices.", expected="a shape of rank 2", got=str(shape))
        return self.gain * np.eye(*shape)


_TRUNCATED_STDDEV = 0.87962566103423978  # stddev of N(0, 1) cut at ±2


def _truncated(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    import numpy as np

    values = rng.standard_normal(shape)
    beyond = np.abs(values) > 2
    while beyond.any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
        beyond = np.abs(values) > 2
    return values


def compute_fans(
    shape: tuple[int, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[float, float]:
    """Return fan-in and fan-out of a weight in Keras's axis order (…, I, O), or by the axes named.

    >>> compute_fans((3, 3, 32, 64))
    (288, 576)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


_CLASSES: dict[str, type[Initializer]] = {
    cls.__name__: cls
    for cls in (
        Zeros, Ones, Constant, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, GlorotUniform, GlorotNormal,
        HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity,
    )
}  # fmt: skip
_BY_NAME: dict[str, type[Initializer]] = {
    "zeros": Zeros, "zero": Zeros, "ones": Ones, "one": Ones, "constant": Constant, "random_normal": RandomNormal,
    "normal": RandomNormal, "truncated_normal": TruncatedNormal, "random_uniform": RandomUniform, "uniform": RandomUniform,
    "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal, "identity": Identity,
}  # fmt: skip


@functools.cache
def _named(name: str) -> Initializer:
    """Return the one initializer that a name stands for: without a seed, so that weights may share it."""
    cls = _BY_NAME.get(name) or _CLASSES.get(name)
    if cls is None:
        raise unknown("initializer", name, _BY_NAME)
    return cls()


def get(identifier: Any) -> Callable[..., Array]:
    """Return an initializer from a name, a ``{"class_name", "config"}`` dict, a class, or any callable.

    >>> get("he_normal")
    HeNormal(seed=None, input_axes=None, output_axes=None)
    """
    if isinstance(identifier, str):
        return _named(identifier)
    if isinstance(identifier, dict) and "class_name" in identifier:
        if identifier["class_name"] not in _CLASSES:
            raise unknown("initializer", identifier["class_name"], _CLASSES)
        return _CLASSES[identifier["class_name"]].from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]  # any f(shape, dtype=None) of the user's
    raise ArgumentTypeError("That is no initializer.", expected="a name, an Initializer or a callable", got=repr(identifier))


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return the initializer as plain data."""
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def deserialize(config: dict[str, Any]) -> Callable[..., Array]:
    """Return the initializer that ``serialize`` described."""
    return get(config)


zeros, ones, constant = Zeros, Ones, Constant
random_normal, random_uniform, truncated_normal, variance_scaling = (
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal, orthogonal, identity = LecunUniform, LecunNormal, Orthogonal, Identity
