"""Layers that act while training only: dropout, noise, penalties on what flows through."""

from __future__ import annotations

from typing import Any, ClassVar

from anabranch import config, regularizers, runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers.activation import Pointwise
from anabranch.layers.convolutional import AXES
from anabranch.ops import _kernels as kernels


class Seeded(Pointwise):
    """A layer that draws random numbers: from the global generators, or with ``seed`` from one of its own. Abstract."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator: Any = None

    def generator(self) -> Any:
        """Return the generator of a layer with a seed, None for one without."""
        if self.seed is not None:
            self._generator = runtime.generator(self.seed, self._generator)
        return self._generator


class Dropout(Seeded):
    """While training, set a share ``rate`` of elements to 0 and scale the rest by 1 / (1 - rate) (Srivastava et al. 2014).

    ``noise_shape``: 1 where all elements along an axis share their fate, None where each has its own.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _share(rate, self)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays, and ``noise_shape`` fits it."""
        noise = self.noise_shape
        if noise is not None and not (
            len(noise) == len(input_shape)
            and all(m is None or n in (None, 1, m) for m, n in zip(input_shape, noise, strict=True))
        ):
            raise ShapeError(
                "noise_shape says for each axis None, 1 or its size.", expected=f"{len(input_shape)} of them for {input_shape}",
                got=str(noise),
            )  # fmt: skip
        return input_shape

    def noise(self) -> tuple[int | None, ...] | None:
        """Return which elements share their fate."""
        return self.noise_shape

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop while training."""
        return kernels.dropout(inputs, self.rate, self.noise(), self.generator()) if training and self.rate else inputs


class SpatialDropout(Dropout):
    """Drop whole channels (Tompson et al. 2015). Abstract."""

    rank: ClassVar[int]

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = config.check_data_format(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays."""
        check_rank(input_shape, self.rank + 2, f"batch, {AXES[self.rank]}, channels")
        return input_shape

    def noise(self) -> tuple[int | None, ...]:
        """All positions of a channel share its fate."""
        ones = (1,) * self.rank
        return (None, *ones, None) if self.data_format == "channels_last" else (None, None, *ones)


class SpatialDropout1D(SpatialDropout):
    """Drop whole channels of (B, T, C)."""

    rank = 1

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, "channels_last", seed, name, dtype, **kwargs)


class SpatialDropout2D(SpatialDropout):
    """Drop whole channels of (B, H, W, C)."""

    rank = 2


class SpatialDropout3D(SpatialDropout):
    """Drop whole channels of (B, D, H, W, C)."""

    rank = 3


class GaussianNoise(Seeded):
    """While training, add normal noise of ``stddev``."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not stddev >= 0:
            raise ArgumentError("stddev is not negative.", got=repr(stddev), where=str(self.made_at))
        self.stddev = stddev

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Add noise while training."""
        return kernels.gaussian_noise(inputs, self.stddev, self.generator()) if training and self.stddev else inputs


class GaussianDropout(Seeded):
    """While training, multiply by normal noise around 1 with variance rate / (1 - rate) (Srivastava et al. 2014)."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _share(rate, self)
        if rate == 1:
            raise ArgumentError("GaussianDropout of rate 1 would have noise without bounds.", where=str(self.made_at))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Multiply by noise while training."""
        return kernels.gaussian_dropout(inputs, self.rate, self.generator()) if training and self.rate else inputs


class ActivityRegularization(Pointwise):
    """Pass through; l1 · Σ|x| + l2 · Σx² of what passes, by the batch's size, joins the loss."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs: Any) -> Any:
        """Return the input."""
        return inputs


def _share(rate: float, layer: Pointwise) -> float:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError("A dropout rate lies in [0, 1].", got=repr(rate), where=str(layer.made_at))
    return rate
