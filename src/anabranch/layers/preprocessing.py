"""Layers that prepare images: scaling, standardizing, and random changes while training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import config, ops
from anabranch._errors import ArgumentError, DataError, NotReadyError, ShapeError, unknown
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank, normalise_axis
from anabranch.layers.activation import Pointwise
from anabranch.layers.core import whole
from anabranch.layers.regularization import Seeded

if TYPE_CHECKING:
    import numpy as np


class Rescaling(Pointwise):
    """x · scale + offset, as floats: ``Rescaling(1 / 255)`` takes uint8 images to [0, 1]."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any) -> Any:
        """Scale."""
        x = ops.cast(inputs, self.dtype)
        if isinstance(self.scale, (int, float)) and isinstance(self.offset, (int, float)):
            return x * self.scale + self.offset
        return x * ops.as_tensor(self.scale, self.dtype) + ops.as_tensor(self.offset, self.dtype)


class Normalization(Pointwise):
    """(x - mean) / max(sqrt(variance), 1e-7) for each position of ``axis``, or its inverse.

    Mean and variance are given, or taken from data by :meth:`adapt`.
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
            raise ArgumentError("Normalization keeps no statistics for each sample.", got=f"axis={self.axis}")
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
            self._weights.clear()
        self.built = True

    def adapt(self, data: Any) -> None:
        """Take mean and variance from ``data``: an array, or an iterable of batches.

        Raises:
            DataError: there is no data, or it is not all numbers.
        """
        batches = [data] if hasattr(data, "shape") else data
        count, mean, squares = 0, None, None
        for batch in batches:
            found = _moments(batch[0] if isinstance(batch, (tuple, list)) else batch, self)
            if found is None:
                continue
            n, centre, spread = found
            if mean is None or squares is None:
                count, mean, squares = n, centre, spread
                continue
            # Chan et al. 1979: how means and sums of squares of two parts combine
            shift = centre - mean
            squares = squares + spread + shift**2 * count * n / (count + n)
            mean = mean + shift * n / (count + n)
            count += n
        if mean is None or squares is None:
            raise DataError("adapt was given no data.", expected="an array, or an iterable of batches", where=self._described())
        self.mean.assign(mean.astype("float32"))
        self.variance.assign((squares / count).astype("float32"))

    def call(self, inputs: Any) -> Any:
        """Standardize."""
        if self.input_mean is None and not self.mean.assigned:
            raise NotReadyError(
                f"{self._described()} has no statistics yet.", repair="layer.adapt(data), or mean= and variance="
            )
        return ops.standardize(
            ops.cast(inputs, self.dtype), self.mean, self.variance, self._spread, self.invert, config.epsilon()
        )

    opaque_if_needed = False


def _given(value: Any) -> Any:
    def fill(shape: tuple[int, ...], dtype: str | None = None) -> Any:
        import numpy as np

        array = np.asarray(value, "float32")
        return np.broadcast_to(array.reshape(shape if array.size > 1 else ()), shape)

    return fill


def _moments(batch: Any, layer: Normalization) -> tuple[int, np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Return count, mean and sum of squared distances over all but the kept axes."""
    import numpy as np

    array = np.asarray(batch)
    if array.dtype.kind not in "biuf":
        raise DataError("adapt takes numbers.", got=f"dtype {array.dtype}", where=layer._described())
    if not layer.built:
        layer.build((None, *array.shape[1:]))
    over = tuple(axis for axis in range(array.ndim) if axis not in layer._axes)
    count = int(np.prod([array.shape[axis] for axis in over]))
    if count == 0:
        return None
    mean = array.mean(over, dtype="float64")
    return count, mean, array.var(over, dtype="float64") * count


class RandomImages(Seeded):
    """A random change of each image while training. Abstract."""

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.data_format = config.check_data_format(data_format)
        self._size = (0, 0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        self.measure(input_shape)
        return input_shape

    def build(self, input_shape: Shape) -> None:
        """Note the images' size."""
        self.measure(input_shape)
        self.built = True

    def measure(self, shape: Shape) -> None:
        """Note height and width, which must be known."""
        check_rank(shape, 4, "batch, height, width, channels")
        height, width = shape[1:3] if self.data_format == "channels_last" else shape[2:]
        self._size = (height or 0, width or 0)

    def known_size(self) -> tuple[int, int]:
        """Return height and width, or say that they must be known."""
        if 0 in self._size:
            raise ShapeError(f"{type(self).__name__} needs images of known height and width.", where=self._described())
        return self._size

    def change(self, images: Any) -> Any:
        """Return (B, H, W, C) changed, each image in its own way."""
        raise NotImplementedError(f"{type(self).__name__} must write change(images)")

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Change while training."""
        x = ops.cast(inputs, self.dtype)
        if not training:
            return x
        if self.data_format == "channels_first":
            return ops.permute(self.change(ops.permute(x, (0, 2, 3, 1))), (0, 3, 1, 2))
        return self.change(x)


class RandomFlip(RandomImages):
    """Mirror each image with probability 1/2, ``horizontal`` (left to right), ``vertical``, or both, each by its own draw."""

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        axes = {"horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (2, 1)}
        if mode not in axes:
            raise unknown("mode", str(mode), axes)
        self.mode, self._axes = mode, axes[mode]

    def change(self, images: Any) -> Any:
        """Mirror."""
        return ops.random_flip(images, self._axes, self.generator())


class RandomCrop(RandomImages):
    """A window of ``height`` x ``width`` of each image: at a random place while training, in the middle otherwise."""

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, name=name, **kwargs)
        self.height, self.width = whole("height", height, self), whole("width", width, self)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) -> (B, height, width, C)."""
        self.measure(input_shape)
        if self.data_format == "channels_first":
            return (*input_shape[:2], self.height, self.width)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def measure(self, shape: Shape) -> None:
        """Note the size, which must hold the window."""
        super().measure(shape)
        height, width = self.known_size()
        if height < self.height or width < self.width:
            raise ShapeError(
                "The crop is larger than the images.",
                expected=f"at least {self.height} x {self.width}",
                got=f"{height} x {width}",
            )

    def change(self, images: Any) -> Any:
        """Crop at random places."""
        return ops.random_crop(images, self.known_size(), (self.height, self.width), self.generator())

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Crop."""
        if training:
            return super().call(inputs, training=True)
        height, width = self.known_size()
        first = 1 if self.data_format == "channels_last" else 2
        x = ops.window_at(ops.cast(inputs, self.dtype), first, (height - self.height) // 2, self.height)
        return ops.window_at(x, first + 1, (width - self.width) // 2, self.width)


class RandomTranslation(RandomImages):
    """Shift each image by its own share of height and width, drawn from ±factor or (low, high).

    The gap is filled by reflection (d c b a | a b c d), wrapping, the nearest pixel, or ``fill_value``.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height_range, self.width_range = _range(height_factor, "height_factor"), _range(width_factor, "width_factor")
        for name, value, known in (
            ("fill_mode", fill_mode, ("reflect", "wrap", "constant", "nearest")),
            ("interpolation", interpolation, ("bilinear", "nearest")),
        ):
            if value not in known:
                raise unknown(name, str(value), known)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def change(self, images: Any) -> Any:
        """Shift."""
        return ops.random_translation(
            images, self.known_size(), self.height_range, self.width_range, self.fill_mode, self.interpolation, self.fill_value,
            self.generator(),
        )  # fmt: skip


def _range(factor: Any, name: str) -> tuple[float, float]:
    low, high = (-abs(factor), abs(factor)) if isinstance(factor, (int, float)) else tuple(factor)
    if not -1 <= low <= high <= 1:
        raise ArgumentError(
            f"{name} is a share of the size.", expected="a number or a pair (low, high) in [-1, 1]", got=repr(factor)
        )
    return float(low), float(high)
