"""Initial values of weights: each initializer is data that fills a NumPy array from a random generator.

Families are reduced to few formulas: Glorot, He and LeCun are all :class:`VarianceScaling`.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from anabranch import config, registry
from anabranch._arguments import guarded, is_array_like
from anabranch._asked import is_integer, method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, unknown
from anabranch._fields import Field, Value, boolean, choice, field, integer, number
from anabranch.graph.weight import DRAWING, NARROW
from anabranch.registry import Json, Registry, finder, registry_of, writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFT", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "compute_fans",
    "constant", "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity",
    "lecun_normal", "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "stft",
    "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip
__dir__ = __all__.copy

InitializerLike: TypeAlias = "str | Initializer | type[Initializer] | Callable[..., Any] | dict[str, Any] | None"
Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["truncated_normal", "untruncated_normal", "uniform"]
Axes = Sequence[int] | None

SEED_DOC = "an integer repeats the same values at each call; None draws by the global seed and the weight's path."


class Initializer(Value):
    """Fill an array: subclass and write ``fill(shape, rng)``, or pass any ``f(shape, dtype=None)`` instead.

    Example:
        >>> import numpy as np
        >>> class Ramp(Initializer):
        ...     def fill(self, shape, rng):
        ...         return np.arange(math.prod(shape)).reshape(shape)
        >>> Ramp()((2, 2)).tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of ``shape`` drawn from ``rng``.

        Args:
            shape: shape of the weight, in Keras's order of axes.
            rng: the source of random numbers.

        Example:
            >>> import numpy as np
            >>> Ones().fill((2,), np.random.default_rng(0)).tolist()
            [1.0, 1.0]
        """
        raise NotImplementedError(f"{type(self).__name__} must define fill(shape, rng)")

    @guarded
    def __call__(self, shape: tuple[int, ...], dtype: str | None = None, *, rng: np.random.Generator | None = None) -> Array:
        """Return an array of ``shape``.

        Args:
            shape: shape of the weight, in Keras's order of axes.
            dtype: its type; None takes ``config.floatx()``. Floats that NumPy lacks, as bfloat16, come as float32.
            rng: the source of random numbers, unless the initializer has a seed of its own; that of the weight whose values
                are made, else one that follows from Python's ``random``, which ``utils.set_random_seed`` seeds.
        """
        import numpy as np

        seed = self._own_seed_()
        if seed is not None:
            rng = np.random.default_rng(seed % 2**128)
        elif rng is None:
            rng = DRAWING.get() or np.random.default_rng(random.getrandbits(64))
        wanted = np.dtype(config.floatx() if dtype is None else "float32" if dtype in NARROW else dtype)
        if wanted.kind not in "biuf":
            raise DtypeError("dtype of an initializer must be a type of numbers.", got=shown(dtype))
        return np.asarray(self.fill(tuple(shape), rng)).astype(wanted)

    def clone(self) -> Self:
        """Return an initializer with the same settings.

        Example:
            >>> Constant(0.5).clone()
            Constant(value=0.5)
        """
        return type(self).from_config(self.get_config())

    def _own_seed_(self) -> int | None:
        """Return the seed of a subclass that has one."""
        found: int | None = vars(self).get("seed")
        return found


class _Drawn(Initializer):
    """Base of initializers that draw random numbers."""

    seed: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=SEED_DOC)

    def _own_seed_(self) -> int | None:
        return self.seed


class Zeros(Initializer):
    """Set every element to 0.

    Example:
        >>> Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return zeros."""
        import numpy as np

        return np.zeros(shape)


class Ones(Initializer):
    """Set every element to 1.

    Example:
        >>> Ones()((2,)).tolist()
        [1.0, 1.0]
    """

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ones."""
        import numpy as np

        return np.ones(shape)


def _array(value: object, owner: object, name: str) -> object:
    found = registry.deserialize(value) if isinstance(value, dict) else value
    if not is_array_like(found) or (isinstance(found, list) and not found):
        raise ArgumentTypeError(f"{name} must be a number, or an array that broadcasts to the shape.", got=shown(value))
    detach = method(found, "detach")
    return detach().clone() if detach else copy.deepcopy(found)  # as it is now: weights are made when they are first read


class Constant(Initializer):
    """Set every element to ``value``.

    Example:
        >>> Constant(0.5)((2,)).tolist()
        [0.5, 0.5]
    """

    value: Field[Any, Any] = field(default=0.0, convert=_array, doc="a number, or an array that broadcasts to the shape.")

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ``value`` in every position."""
        import numpy as np

        return np.full(shape, self.value)


class RandomNormal(_Drawn):
    """Draw from a normal distribution N(mean, stddev²).

    Example:
        >>> RandomNormal(stddev=0.01, seed=1)((2, 3)).shape
        (2, 3)
    """

    mean: Field[float, float] = number(default=0.0, doc="mean of the distribution.")
    stddev: Field[float, float] = number(default=0.05, least=0, doc="its standard deviation.")

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return normal draws."""
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(_Drawn):
    """Draw from N(mean, stddev²), again wherever a value is further than two ``stddev`` from the mean.

    Example:
        >>> bool(abs(TruncatedNormal(stddev=1.0, seed=1)((1000,))).max() <= 2)
        True
    """

    mean: Field[float, float] = number(default=0.0, doc="mean of the distribution.")
    stddev: Field[float, float] = number(default=0.05, least=0, doc="standard deviation before truncation.")

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return truncated normal draws."""
        return self.mean + self.stddev * _truncated(shape, rng)


class RandomUniform(_Drawn):
    """Draw from a uniform distribution on [minval, maxval).

    Example:
        >>> values = RandomUniform(0.0, 1.0, seed=1)((1000,))
        >>> bool(values.min() >= 0 and values.max() <= 1)
        True
    """

    minval: Field[float, float] = number(default=-0.05, doc="the lower bound.")
    maxval: Field[float, float] = number(default=0.05, doc="the upper bound.")

    def _check_(self) -> None:
        if self.minval > self.maxval:
            raise ArgumentError("minval must not be above maxval.", got=f"{self.minval} and {self.maxval}")

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return uniform draws."""
        return rng.uniform(self.minval, self.maxval, shape)


def _one_of(*names: str) -> Callable[[Any, Any, str], str]:
    def convert(value: object, owner: object, name: str) -> str:
        found = str(value).lower()
        found = "truncated_normal" if found == "normal" else found
        if found not in names:
            raise unknown(name, str(value), names)
        return found

    return convert


def _axes(value: Axes | int, owner: object, name: str) -> Axes:
    found: list[Any] = [*value] if isinstance(value, (list, tuple)) else [value]
    if value is not None and not all(map(is_integer, found)):
        raise ArgumentTypeError(f"{name} must be an axis, a list of axes or None.", got=shown(value))
    return None if value is None else [int(axis) for axis in found]


AXES_DOC = "the axes whose sizes multiply to the fan-{}; None takes Keras's order (…, I, O)."


class VarianceScaling(_Drawn):
    """Draw with variance scale / n, n being fan-in, fan-out or their mean.

    ``truncated_normal`` enlarges its standard deviation by 1 / 0.8796, which truncation takes away; ``uniform`` draws from
    [-l, l), l = sqrt(3 · scale / n). Sources: Glorot & Bengio 2010; He et al. 2015, section 2.2; LeCun et al. 1998.

    Example:
        >>> values = VarianceScaling(2.0, "fan_out", "uniform", seed=1)((400, 100))
        >>> round(float(values.var()), 2)
        0.02
    """

    scale: Field[float, float] = number(default=1.0, above=0, doc="a factor of the variance.")
    mode: Field[Mode, Mode] = field(
        default="fan_in", convert=_one_of("fan_in", "fan_out", "fan_avg"), doc="what n is: 'fan_in', 'fan_out' or 'fan_avg'."
    )
    distribution: Field[Distribution | Literal["normal"], Distribution] = field(
        default="truncated_normal",
        convert=_one_of("truncated_normal", "untruncated_normal", "uniform"),
        doc="'truncated_normal' (or 'normal'), 'untruncated_normal' or 'uniform'.",
    )
    seed: Field[int | None, int | None] = integer(default=None, least=None, optional=True, doc=SEED_DOC)
    input_axes: Field[Axes | int, Axes] = field(default=None, convert=_axes, doc=AXES_DOC.format("in"))
    output_axes: Field[Axes | int, Axes] = field(default=None, convert=_axes, doc=AXES_DOC.format("out"))

    def __init_subclass__(cls, **law: float | str) -> None:
        """Make a named member of the family: ``law`` is its scale, mode and distribution, which are no settings there."""
        for name, value in law.items():
            setattr(cls, name, value)
        super().__init_subclass__()

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


class GlorotUniform(VarianceScaling, scale=1.0, mode="fan_avg", distribution="uniform"):
    """Draw uniformly with variance 1 / fan_avg, Keras's default for kernels (Glorot & Bengio 2010).

    Example:
        >>> round(float(GlorotUniform(seed=1)((300, 100)).var() * 200), 1)
        1.0
    """


class GlorotNormal(VarianceScaling, scale=1.0, mode="fan_avg", distribution="truncated_normal"):
    """Draw from a truncated normal with variance 1 / fan_avg (Glorot & Bengio 2010).

    Example:
        >>> round(float(GlorotNormal(seed=1)((300, 100)).var() * 200), 1)
        1.0
    """


class HeUniform(VarianceScaling, scale=2.0, mode="fan_in", distribution="uniform"):
    """Draw uniformly with variance 2 / fan_in, which suits ReLU (He et al. 2015).

    Example:
        >>> round(float(HeUniform(seed=1)((300, 100)).var() * 300), 1)
        2.0
    """


class HeNormal(VarianceScaling, scale=2.0, mode="fan_in", distribution="truncated_normal"):
    """Draw from a truncated normal with variance 2 / fan_in, which suits ReLU (He et al. 2015).

    Example:
        >>> round(float(HeNormal(seed=1)((300, 100)).var() * 300), 1)
        2.0
    """


class LecunUniform(VarianceScaling, scale=1.0, mode="fan_in", distribution="uniform"):
    """Draw uniformly with variance 1 / fan_in, which suits SELU (LeCun et al. 1998).

    Example:
        >>> round(float(LecunUniform(seed=1)((300, 100)).var() * 300), 1)
        1.0
    """


class LecunNormal(VarianceScaling, scale=1.0, mode="fan_in", distribution="truncated_normal"):
    """Draw from a truncated normal with variance 1 / fan_in, which suits SELU (LeCun et al. 1998).

    Example:
        >>> round(float(LecunNormal(seed=1)((300, 100)).var() * 300), 1)
        1.0
    """


GAIN_DOC = "a factor of the matrix."


class Orthogonal(_Drawn):
    """Draw a (semi-)orthogonal matrix times ``gain``; leading axes are flattened to rows (Saxe et al. 2013).

    Example:
        >>> matrix = Orthogonal(seed=1)((4, 3))
        >>> (matrix.T @ matrix).round(4).diagonal().tolist()
        [1.0, 1.0, 1.0]
    """

    gain: Field[float, float] = number(default=1.0, doc=GAIN_DOC)

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
    """Set a matrix to the identity times ``gain``.

    Example:
        >>> Identity(2.0)((2, 2)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]
    """

    gain: Field[float, float] = number(default=1.0, doc=GAIN_DOC)

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return ones on the diagonal."""
        import numpy as np

        if len(shape) != 2:
            raise ShapeError("Identity fills matrices.", expected="a shape of rank 2", got=str(shape))
        return self.gain * np.eye(*shape)


_WINDOWS = ("hann", "hamming", "blackman", "bartlett", "boxcar")


def _window(value: object, owner: object, name: str) -> object:
    if isinstance(value, str) and value not in _WINDOWS:
        raise unknown(name, value, _WINDOWS)
    return value if value is None or isinstance(value, str) else _array(value, owner, name)


class STFT(Initializer):
    """Set a kernel (T, 1, n) to the cosines or sines of the first n frequencies, so that a convolution transforms frames.

    Example:
        >>> STFT("real", None)((4, 1, 3))[:, 0, 2].round(6).tolist()
        [1.0, -1.0, 1.0, -1.0]
    """

    side: Field[str, str] = choice("real", "imag", default="real", doc="'real' gives cosines, 'imag' sines.")
    window: Field[object, object] = field(
        default="hann", convert=_window, doc="'hann', 'hamming', 'blackman', 'bartlett', 'boxcar', T values, or None."
    )
    scaling: Field[str | None, str | None] = choice(
        "density", "spectrum", None, default="density", doc="'density' divides by the window's length, 'spectrum' by its sum."
    )
    periodic: Field[bool, bool] = boolean(default=False, doc="whether the window is periodic, or symmetric.")

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return cos or sin of -2π·t·f / (2n - 2), times the window."""
        import numpy as np

        if len(shape) != 3:
            raise ShapeError("STFT fills kernels of one axis.", expected="a shape (T, 1, n)", got=str(shape))
        length, _, count = shape
        angles = -2 * np.pi * np.arange(length)[:, None, None] * np.arange(count) / max(2 * (count - 1), 1)
        values = np.broadcast_to(np.cos(angles) if self.side == "real" else np.sin(angles), shape)
        if self.window is None:
            return values.copy()
        window = np.asarray(self._named(length) if isinstance(self.window, str) else self.window, "float64")
        if window.shape != (length,):
            raise ShapeError("window must have a value for each step.", expected=f"({length},)", got=str(window.shape))
        scale = {"density": np.sqrt((window**2).sum()), "spectrum": np.abs(window).sum(), None: 1.0}[self.scaling]
        found: Array = values * window[:, None, None] / scale
        return found

    def _named(self, length: int) -> Array:
        import numpy as np

        makes: dict[object, Callable[[int], Array]] = {
            "hann": np.hanning, "hamming": np.hamming, "blackman": np.blackman, "bartlett": np.bartlett, "boxcar": np.ones
        }  # fmt: skip
        made: Array = makes[self.window](length + 1 if self.periodic else length)
        return made[:-1] if self.periodic else made


_TRUNCATED_STDDEV = 0.87962566103423978  # stddev of N(0, 1) cut at ±2


def _truncated(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    import numpy as np

    values = rng.standard_normal(shape)
    beyond = np.abs(values) > 2
    while beyond.any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
        beyond = np.abs(values) > 2
    return values


@guarded
def compute_fans(shape: tuple[int, ...], input_axes: Axes = None, output_axes: Axes = None) -> tuple[float, float]:
    """Return fan-in and fan-out of a weight.

    Args:
        shape: its shape, in Keras's order of axes (…, I, O).
        input_axes: the axes whose sizes multiply to the fan-in; needs ``output_axes``.
        output_axes: the axes whose sizes multiply to the fan-out; needs ``input_axes``.

    Example:
        >>> compute_fans((3, 3, 32, 64))
        (288, 576)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive_field = math.prod(shape[:-2])
    return shape[-2] * receptive_field, shape[-1] * receptive_field


zeros, ones, constant = Zeros, Ones, Constant
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal, identity = VarianceScaling, Orthogonal, Identity
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
stft = STFTInitializer = STFT

_registry: Registry[Any] = registry_of(globals(), Initializer, zero=Zeros, one=Ones, normal=RandomNormal, uniform=RandomUniform)


@finder
def get(identifier: InitializerLike) -> Any:
    """Return an initializer from a name, a class, a config or a callable; None stays None.

    Args:
        identifier: what means an initializer. A callable is ``f(shape, dtype=None)``.

    Raises:
        UnknownNameError: there is no such name.

    Example:
        >>> get("he_normal")
        HeNormal()
    """
    return _registry.get(identifier)


@writer
def serialize(initializer: Initializer | Callable[..., Any]) -> Json:
    """Return an initializer as JSON, in Keras's form.

    Example:
        >>> serialize(Constant(2.0))["config"]
        {'value': 2.0}
    """
    return _registry.serialize(initializer)


@finder
def deserialize(config: Json, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that ``serialize`` described.

    Example:
        >>> deserialize(serialize(Orthogonal(seed=3))) == Orthogonal(seed=3)
        True
    """
    return _registry.deserialize(config, custom_objects)
