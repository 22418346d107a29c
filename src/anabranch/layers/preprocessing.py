"""Layers that prepare numbers: scaling, standardizing with given or measured statistics."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch import config, runtime
from anabranch._arguments import is_array_like
from anabranch._asked import has_shape, is_without_values, method, on_host, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, NotReadyError, ShapeError
from anabranch.graph import Shape, Weight
from anabranch.graph.shapes import broadcast, normalise_axis
from anabranch.layers.fields import BooleanField, Field, boolean, field, state, weight_state
from anabranch.layers.pointwise import Pointwise
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

Values: TypeAlias = "float | Sequence[float] | np.ndarray[Any, Any]"
FactorField: TypeAlias = "Field[Values, Values]"
StatisticField: TypeAlias = "Field[Values | Weight | None, Weight]"


def _values(value: object, owner: object, name: str) -> object:
    """Return a number, an array, or a nest of numbers as it is; a config's ``{"value": …}`` as its nest."""
    if isinstance(value, dict) and "config" in value:
        value = value["config"]["value"]
    numbers = is_array_like(value) or method(value, "__array__") is not None
    finite = not isinstance(value, (int, float)) or math.isfinite(value)
    if value is not None and (isinstance(value, bool) or not numbers or not finite):
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a number or an array.", got=shown(value))
    return value


def _factor(value: object, owner: object, name: str) -> object:
    if value is None:
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be numbers.", got="None")
    return _values(value, owner, name)


def _variance(value: object, owner: object, name: str) -> object:
    found = _values(value, owner, name)
    if isinstance(found, (int, float)) and found < 0:
        raise ArgumentError(f"{name} of {type(owner).__name__} must not be negative.", got=repr(value))
    return found


def _plain_values(value: object) -> object:
    """Return numbers as JSON."""
    if value is None or isinstance(value, (int, float)):
        return value
    listed = method(value, "tolist")
    found = listed() if listed else value
    return [_plain_values(item) for item in found] if isinstance(found, (list, tuple)) else found


def _kept_axes(value: object, owner: object, name: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(axis, bool) or not isinstance(axis, int) for axis in found):
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be axes or None.", got=repr(value)[:120])
    return found or None


def _shape_of(value: object) -> tuple[int, ...]:
    """Return the shape of a number, an array or a nest of numbers."""
    if has_shape(value):
        return tuple(value.shape)
    return (len(value), *_shape_of(value[0])) if isinstance(value, (list, tuple)) and value else ()


class Rescaling(Pointwise):
    """Scale and shift: x · scale + offset, as floats.

    Example:
        >>> import numpy as np
        >>> Rescaling(1 / 255)(np.array([[0, 255]], "uint8")).tolist()
        [[0.0, 1.0]]
    """

    scale: FactorField = field(convert=_factor, plain=_plain_values, doc="a number, or an array that fits the last axes.")
    offset: FactorField = field(default=0.0, convert=_factor, plain=_plain_values, doc="is added, in the same way.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, which arrays of factors may stretch."""
        return broadcast(broadcast(input_shape, _shape_of(self.scale)), _shape_of(self.offset))

    def call(self, inputs: Tensor) -> Tensor:
        """Scale."""
        x = kernels.cast(inputs, self.compute_dtype)
        if isinstance(self.scale, (int, float)) and isinstance(self.offset, (int, float)):
            return x * self.scale + self.offset
        return x * runtime.as_tensor(self.scale, self.compute_dtype) + runtime.as_tensor(self.offset, self.compute_dtype)


class Normalization(Pointwise):
    """Standardize: (x - mean) / max(sqrt(variance), 1e-7) for each position of ``axis``, or its inverse.

    Mean and variance are given, or computed from data by :meth:`adapt`.

    Example:
        >>> import numpy as np
        >>> Normalization(mean=3.0, variance=4.0)(np.array([[1.0, 5.0]])).tolist()
        [[-1.0, 1.0]]
    """

    axis: Field[int | Sequence[int] | None, tuple[int, ...] | None] = field(
        default=-1, convert=_kept_axes, plain=lambda value: list(value or ()), fixed=True,
        doc="the axis, or axes, with statistics of their own for each position; None: one mean and variance for all.",
    )  # fmt: skip
    mean: StatisticField = field(default=None, convert=_values, hidden=True, doc="the mean, a number or an array.")
    variance: StatisticField = field(default=None, convert=_variance, hidden=True, doc="the variance, a number or an array.")
    invert: BooleanField = boolean(default=False, doc="whether it undoes the standardization: x · sqrt(variance) + mean.")

    input_mean: Values | None = state(init=False)  # what was given
    input_variance: Values | None = state(init=False)
    count: Weight = weight_state(init=False)
    _axes: tuple[int, ...] = state(init=False)
    _spread: tuple[int, ...] = state(init=False)

    def _check_(self) -> None:
        given = [vars(self).pop(key, None) for key in (":mean", ":variance")]
        if (given[0] is None) != (given[1] is None):
            raise ArgumentError(
                "mean and variance are given together.", got=f"mean={given[0]!r}, variance={given[1]!r}",
                where=str(self._made_at_),
            )  # fmt: skip
        if given[0] is not None:
            self.input_mean, self.input_variance = given

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        if changed.fixed and self.built and value != self.axis:  # given statistics are no weights, but have its axes
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: its statistics have these axes.",
                expected=f"{changed.name}={self.axis!r}", got=repr(value), repair="make a new layer",
            )  # fmt: skip
        super()._changing_(changed, value)

    def get_config(self) -> dict[str, Any]:
        """Return the settings; mean and variance as they were given, as those from data are weights.

        Example:
            >>> Normalization(mean=3.0, variance=4.0).get_config()["mean"]
            3.0
        """
        given = {"mean": _plain_values(self.input_mean), "variance": _plain_values(self.input_variance)}
        return super().get_config() | given

    def build(self, input_shape: Shape) -> None:
        """Make mean and variance of the sizes of ``axis``."""
        rank = len(input_shape)
        self._axes = tuple(sorted(normalise_axis(axis, rank) for axis in self.axis or ()))
        if 0 in self._axes:
            raise ArgumentError(
                "Normalization has no statistics for each sample.", got=f"axis={self.axis} of {input_shape}",
                repair="axis=None computes one mean and variance for all values",
            )  # fmt: skip
        sizes: list[int] = []
        for axis in self._axes:
            size = input_shape[axis]
            if size is None:
                raise ShapeError(
                    "The axes with statistics of their own need known sizes.", got=f"axis {self.axis} of {input_shape}"
                )
            sizes.append(size)
        self._spread = tuple(int(input_shape[axis] or 1) if axis in self._axes else 1 for axis in range(rank))
        mean, variance = self.input_mean, self.input_variance
        self.mean = self.add_weight(sizes, _given(0.0 if mean is None else mean), trainable=False, name="mean")
        self.variance = self.add_weight(sizes, _given(1.0 if variance is None else variance), trainable=False, name="variance")
        if mean is None:
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        else:  # constants of the code, not weights: as in Keras
            self._weights_ = ()

    def adapt(self, data: object) -> None:
        """Compute mean and variance from data.

        Args:
            data: an array, or an iterable of batches.

        Raises:
            DataError: there is no data, or it is not all numbers.

        Example:
            >>> import numpy as np
            >>> layer = Normalization()
            >>> layer.adapt(np.array([[1.0], [3.0]]))
            >>> layer.mean.numpy().tolist()
            [2.0]
        """
        if isinstance(data, (str, bytes)) or not (has_shape(data) or isinstance(data, Iterable)):
            raise ArgumentTypeError(
                "adapt takes an array or an iterable of batches.", got=repr(data)[:80], where=self._described_()
            )
        found: Moments | None = None
        for batch in [data] if has_shape(data) or not isinstance(data, Iterable) else data:
            found = _combined(found, _moments(batch[0] if isinstance(batch, (tuple, list)) and batch else batch, self))
        if found is None:
            raise DataError(
                "adapt was given no data.", expected="an array, or an iterable of batches", where=self._described_()
            )
        count, mean, squares = found
        if not all(abs(number) < float("inf") for number in [*mean.ravel(), *squares.ravel()]):
            raise DataError(
                "The data that adapt was given holds NaN or infinite values.",
                got=f"mean {mean.tolist()}"[:120], where=self._described_(), repair="look at ~np.isfinite(x)",
            )  # fmt: skip
        self.mean.assign(mean.astype("float32"))
        self.variance.assign((squares / count).astype("float32"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, to whose last axes the statistics must fit."""
        spread = self._spread or ()
        pairs = zip(reversed(spread), reversed(input_shape), strict=False)
        if len(input_shape) < len(spread) or any(made > 1 and size not in (None, made) for made, size in pairs):
            raise ShapeError(
                "The input does not fit the sizes that the statistics were made for.",
                expected=f"(…, {', '.join(str(size) if size > 1 else 'any' for size in spread)})", got=str(input_shape),
                repair="a layer of its own for each rank and size",
            )  # fmt: skip
        return input_shape

    def call(self, inputs: Tensor) -> Tensor:
        """Standardize."""
        known = runtime.shape_of(inputs)
        if known is not None:
            self.compute_output_shape(known)
        if self.input_mean is None and not self.mean.assigned:
            raise NotReadyError(
                f"{self._described_()} has no statistics yet.", repair="layer.adapt(data), or mean= and variance="
            )
        return kernels.standardize(
            kernels.cast(inputs, self.compute_dtype), self.mean, self.variance, self._spread, self.invert, config.epsilon()
        )

    _opaque_if_needed_ = False


def _statistic(name: str) -> Any:
    """Return the property of a statistic, which is a weight once the layer is built."""

    def read(layer: Normalization) -> Weight | None:
        return vars(layer).get(name)

    def put(layer: Normalization, value: Weight) -> None:
        if layer.built and not isinstance(value, Weight):
            raise ArgumentError(
                f"{name} of {layer._described_()} cannot be set: it is a weight.", got=shown(value),
                repair=f"layer.{name}.assign(…), or layer.adapt(data)",
            )  # fmt: skip
        vars(layer)[name] = value

    return property(read, put, doc=f"The {name}, a weight once the layer is built.")


Normalization.mean, Normalization.variance = _statistic("mean"), _statistic("variance")  # the fields are arguments alone


def _given(value: Values) -> Callable[..., np.ndarray[Any, Any]]:
    return functools.partial(_fill, value)  # which pickle knows


def _fill(value: Values, shape: tuple[int, ...], dtype: str | None = None) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        array = np.asarray(on_host(value), "float32")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError("mean and variance must be real numbers.", got=shown(value)) from error
    try:
        return np.broadcast_to(array if array.ndim <= len(shape) else array.reshape(shape), shape)
    except ValueError as error:
        raise ShapeError(
            "mean and variance do not fit the axes with statistics of their own.", expected=f"one number, or shape {shape}",
            got=str(array.shape),
        ) from error  # fmt: skip


Moments: TypeAlias = "tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]]"
_BLOCK = 1 << 22  # values at a time, which become float64


def _moments(batch: object, layer: Normalization) -> Moments | None:
    """Return count, mean and sum of squared distances over the other axes; None of an empty batch."""
    import numpy as np

    if not has_shape(batch) or is_without_values(batch):
        raise DataError(
            "adapt takes arrays.", expected="an array, or an iterable of batches, each an array",
            got=f"a batch that is a {type(batch).__name__}", where=layer._described_(), repair="adapt(np.asarray(data))",
        )  # fmt: skip
    array = np.asarray(on_host(batch))
    if array.dtype.kind not in "biuf":
        raise DataError("adapt takes numbers.", got=f"dtype {array.dtype}", where=layer._described_())
    if array.ndim == 0:
        raise DataError("adapt takes batches.", got="one number", where=layer._described_())
    if not layer.built:
        layer.build((None, *array.shape[1:]))
    fits = array.ndim == len(layer._spread) and all(array.shape[axis] == layer._spread[axis] for axis in layer._axes)
    if layer._axes and not fits:
        raise DataError(
            "A batch does not fit the shape that the statistics are for.",
            expected=f"{len(layer._spread)}-D, " + ", ".join(f"{layer._spread[a]} along axis {a}" for a in layer._axes),
            got=str(array.shape), where=layer._described_(),
        )  # fmt: skip
    over = tuple(axis for axis in range(array.ndim) if axis not in layer._axes)
    step = max(1, _BLOCK // max(1, array[:1].size))
    found: Moments | None = None
    for start in range(0, len(array), step):
        block = array[start : start + step].astype("float64")
        if block.size:
            mean = block.mean(over)
            found = _combined(found, (block.size // mean.size, mean, block.var(over) * (block.size // mean.size)))
    return found


def _combined(first: Moments | None, second: Moments | None) -> Moments | None:
    """Return the moments of two parts together (Chan et al. 1979)."""
    if first is None or second is None:
        return first or second
    (n, mean, squares), (m, other, more) = first, second
    shift = other - mean
    return n + m, mean + shift * m / (n + m), squares + more + shift**2 * n * m / (n + m)
