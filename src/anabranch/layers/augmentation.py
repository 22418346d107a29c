"""Random changes of images while training, each image by its own draws, all at once on the device."""

from __future__ import annotations

from typing import Any

from anabranch import config, runtime
from anabranch._errors import ArgumentError, ShapeError, unknown
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers.core import whole
from anabranch.layers.regularization import Seeded
from anabranch.ops import _kernels as kernels


class RandomImages(Seeded):
    """A random change of each image while training; otherwise images pass, as floats. Abstract.

    Images are (B, H, W, C), or (B, C, H, W) with channels first; whole numbers such as uint8 become floats.
    """

    supports_masking = False

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.data_format = config.check_data_format(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_rank(input_shape, 4, "batch, height, width, channels")
        return input_shape

    def change(self, images: Any) -> Any:
        """Return (B, H, W, C) changed, each image in its own way."""
        raise NotImplementedError(f"{type(self).__name__} must write change(images)")

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Change while training."""
        shape = runtime.shape_of(inputs)
        if shape is not None:
            check_rank(shape, 4, "batch, height, width, channels")
        images = kernels.cast(inputs, self.compute_dtype)
        if not training:
            return images
        if self.data_format == "channels_last":
            return self.change(images)
        return kernels.permute(self.change(kernels.permute(images, (0, 2, 3, 1))), (0, 3, 1, 2))


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
        return kernels.random_flip(images, self._axes, self.generator())


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
        check_rank(input_shape, 4, "batch, height, width, channels")
        first = 1 if self.data_format == "channels_last" else 2
        sizes = input_shape[first : first + 2]
        if any(size is not None and size < part for size, part in zip(sizes, (self.height, self.width), strict=True)):
            raise ShapeError(
                "The crop is larger than the images.",
                expected=f"images of at least {self.height} x {self.width}", got=f"{sizes[0]} x {sizes[1]} in {input_shape}",
                repair="a smaller crop, or ZeroPadding2D before it",
            )  # fmt: skip
        return (*input_shape[:first], self.height, self.width, *input_shape[first + 2 :])

    def change(self, images: Any) -> Any:
        """Crop at random places."""
        return kernels.random_crop(images, (self.height, self.width), self.generator())

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Crop."""
        shape = runtime.shape_of(inputs)
        if shape is not None:
            self.compute_output_shape(shape)
        if training:
            return super().call(inputs, training=True)
        middle = kernels.middle(inputs, (self.height, self.width), 1 if self.data_format == "channels_last" else 2)
        return kernels.cast(middle, self.compute_dtype)


class Warp(RandomImages):
    """A change of each image's place, turn or size. Abstract.

    What lies beyond the rim is the image mirrored (``reflect``: d c b a | a b c d), repeated (``wrap``), its nearest pixel
    (``nearest``), or ``fill_value`` (``constant``).
    """

    def __init__(
        self, fill_mode: str, interpolation: str, seed: int | None, fill_value: float, data_format: str | None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if fill_mode not in ("reflect", "wrap", "constant", "nearest"):
            raise unknown("fill_mode", str(fill_mode), ("reflect", "wrap", "constant", "nearest"))
        if interpolation not in ("bilinear", "nearest"):
            raise unknown("interpolation", str(interpolation), ("bilinear", "nearest"))
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def sampling(self) -> Any:
        """Return how to read between pixels and beyond the rim."""
        return kernels.Sampling(self.fill_mode, self.interpolation, self.fill_value, self.compute_dtype)


class RandomTranslation(Warp):
    """Shift each image by its own share of height (down) and width (right), drawn from ±factor or (low, high)."""

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
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_range, self.width_range = share("height_factor", height_factor), share("width_factor", width_factor)

    def change(self, images: Any) -> Any:
        """Shift."""
        return kernels.random_translation(images, self.height_range, self.width_range, self.sampling(), self.generator())


class RandomRotation(Warp):
    """Turn each image about its middle by its own share of a full turn, counter-clockwise, from ±factor or (low, high)."""

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.range = share("factor", factor)

    def change(self, images: Any) -> Any:
        """Turn."""
        return kernels.random_rotation(images, self.range, self.sampling(), self.generator())


class RandomZoom(Warp):
    """Show 1 + a share of each image's height and width, drawn from ±factor or (low, high): more than 0 looks from afar.

    Without ``width_factor`` the ratio of the sides stays.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_range = share("height_factor", height_factor)
        self.width_range = None if width_factor is None else share("width_factor", width_factor)

    def change(self, images: Any) -> Any:
        """Zoom."""
        return kernels.random_zoom(images, self.height_range, self.width_range, self.sampling(), self.generator())


class RandomContrast(RandomImages):
    """Scale each image's distance from its channels' means by a draw from [1 - factor, 1 + factor], cut to ``value_range``.

    A pair (a, b) draws from [1 - a, 1 + b].
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        low, high = (factor, factor) if isinstance(factor, (int, float)) else share("factor", factor)
        if not 0 <= min(low, high) <= max(low, high) <= 1:
            raise ArgumentError("factor is a share.", expected="a number or a pair in [0, 1]", got=repr(factor))
        self.range, self.value_range = (1.0 - low, 1.0 + high), pair("value_range", value_range)

    def change(self, images: Any) -> Any:
        """Scale."""
        return kernels.random_contrast(images, self.range, self.value_range, self.generator())


class RandomBrightness(RandomImages):
    """Add to each image a share of the range of values, drawn from ±factor or (low, high), cut to ``value_range``."""

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.range, self.value_range = share("factor", factor), pair("value_range", value_range)

    def change(self, images: Any) -> Any:
        """Add."""
        return kernels.random_brightness(images, self.range, self.value_range, self.generator())


def pair(name: str, value: Any) -> tuple[float, float]:
    """Return two numbers, the lesser first."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(n, (int, float)) for n in value):
        return float(min(value)), float(max(value))
    raise ArgumentError(f"{name} is a pair of numbers.", expected="(low, high)", got=repr(value))


def share(name: str, factor: Any) -> tuple[float, float]:
    """Return the range that a factor stands for: ±factor, or (low, high)."""
    low, high = pair(name, (-factor, factor) if isinstance(factor, (int, float)) else factor)
    if not -1 <= low <= high <= 1:
        raise ArgumentError(f"{name} is a share.", expected="a number or a pair (low, high) in [-1, 1]", got=repr(factor))
    return low, high
