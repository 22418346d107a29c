"""Layers that prepare numbers: scaling, standardizing with given or measured statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch import config, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, NotReadyError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis
from anabranch.layers.activation import Pointwise
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np


class Rescaling(Pointwise):
    """x · scale + offset, as floats: ``Rescaling(1 / 255)`` takes uint8 images to [0, 1]."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any) -> Any:
        """Scale."""
        x = kernels.cast(inputs, self.compute_dtype)
        if isinstance(self.scale, (int, float)) and isinstance(self.offset, (int, float)):
            return x * self.scale + self.offset
        return x * runtime.as_tensor(self.scale, self.compute_dtype) + runtime.as_tensor(self.offset, self.compute_dtype)


class Normalization(Pointwise):
    """(x - mean) / max(sqrt(variance), 1e-7) for each position of ``axis``, or its inverse.

    Mean and variance are given, or taken from data by :meth:`adapt`; ``axis=None`` keeps one of each for all numbers.
    """

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ArgumentError("mean and variance are given together.", got=f"mean={mean!r}, variance={variance!r}")
        self.axis = axis
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.mean: Any = None
        self.variance: Any = None
        self.count: Any = None
        self._axes: tuple[int, ...] = ()
        self._spread: tuple[int, ...] = ()

    def build(self, input_shape: Shape) -> None:
        """Make mean and variance of the kept axes' sizes."""
        rank = len(input_shape)
        kept = [] if self.axis is None else [self.axis] if isinstance(self.axis, int) else list(self.axis)
        self._axes = tuple(sorted(normalise_axis(axis, rank) for axis in kept))
        if 0 in self._axes:
            raise ArgumentError(
                "Normalization keeps no statistics for each sample.", got=f"axis={self.axis} of {input_shape}",
                repair="axis=None keeps one mean and variance for all numbers",
            )  # fmt: skip
        sizes: list[int] = []
        for axis in self._axes:
            size = input_shape[axis]
            if size is None:
                raise ShapeError("The kept axes need known sizes.", got=f"axis {self.axis} of {input_shape}")
            sizes.append(size)
        self._spread = tuple(int(input_shape[axis] or 1) if axis in self._axes else 1 for axis in range(rank))
        mean, variance = self.input_mean, self.input_variance
        self.mean = self.add_weight(sizes, _given(0.0 if mean is None else mean), trainable=False, name="mean")
        self.variance = self.add_weight(sizes, _given(1.0 if variance is None else variance), trainable=False, name="variance")
        if mean is None:
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        else:  # constants of the code, not weights: as in Keras
            self._weights = ()
        self.built = True

    def adapt(self, data: Any) -> None:
        """Take mean and variance from ``data``: an array, or an iterable of batches.

        Raises:
            DataError: there is no data, or it is not all numbers.
        """
        if isinstance(data, (str, bytes)) or not (hasattr(data, "shape") or hasattr(data, "__iter__")):
            raise ArgumentTypeError(
                "adapt takes an array or an iterable of batches.", got=repr(data)[:80], where=self._described()
            )
        found: Moments | None = None
        for batch in [data] if hasattr(data, "shape") else data:
            found = _combined(found, _moments(batch[0] if isinstance(batch, (tuple, list)) and batch else batch, self))
        if found is None:
            raise DataError("adapt was given no data.", expected="an array, or an iterable of batches", where=self._described())
        count, mean, squares = found
        if not all(abs(number) < float("inf") for number in [*mean.ravel(), *squares.ravel()]):
            raise DataError(
                "The data that adapt was given holds NaN or infinite numbers.",
                got=f"mean {mean.tolist()}"[:120], where=self._described(), repair="look at ~np.isfinite(x)",
            )  # fmt: skip
        self.mean.assign(mean.astype("float32"))
        self.variance.assign((squares / count).astype("float32"))

    def call(self, inputs: Any) -> Any:
        """Standardize."""
        if self.input_mean is None and not self.mean.assigned:
            raise NotReadyError(
                f"{self._described()} has no statistics yet.", repair="layer.adapt(data), or mean= and variance="
            )
        return kernels.standardize(
            kernels.cast(inputs, self.compute_dtype), self.mean, self.variance, self._spread, self.invert, config.epsilon()
        )

    opaque_if_needed = False


def _given(value: Any) -> Any:
    def fill(shape: tuple[int, ...], dtype: str | None = None) -> Any:
        import numpy as np

        array = np.asarray(value, "float32")
        try:
            return np.broadcast_to(array if array.ndim <= len(shape) else array.reshape(shape), shape)
        except ValueError as error:
            raise ShapeError(
                "mean and variance do not fit the kept axes.", expected=f"one number, or shape {shape}", got=str(array.shape)
            ) from error

    return fill


Moments: TypeAlias = "tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]]"
_BLOCK = 1 << 22  # numbers at a time, which become float64


def _moments(batch: Any, layer: Normalization) -> Moments | None:
    """Return count, mean and sum of squared distances over all but the kept axes; None of an empty batch."""
    import numpy as np

    if not hasattr(batch, "shape"):
        raise DataError(
            "adapt takes arrays.", expected="an array, or an iterable of batches, each an array",
            got=f"a batch that is a {type(batch).__name__}", where=layer._described(), repair="adapt(np.asarray(data))",
        )  # fmt: skip
    array = np.asarray(batch.detach().cpu() if hasattr(batch, "detach") else batch)
    if array.dtype.kind not in "biuf":
        raise DataError("adapt takes numbers.", got=f"dtype {array.dtype}", where=layer._described())
    if array.ndim == 0:
        raise DataError("adapt takes batches.", got="one number", where=layer._described())
    if not layer.built:
        layer.build((None, *array.shape[1:]))
    fits = array.ndim == len(layer._spread) and all(array.shape[axis] == layer._spread[axis] for axis in layer._axes)
    if layer._axes and not fits:
        raise DataError(
            "A batch does not fit the shape that the statistics are kept for.",
            expected=f"{len(layer._spread)} axes, " + ", ".join(f"{layer._spread[a]} along axis {a}" for a in layer._axes),
            got=str(array.shape), where=layer._described(),
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
