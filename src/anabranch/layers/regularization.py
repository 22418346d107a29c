"""Layers that act while training only: dropout, noise, penalties on what flows through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.pointwise import Pointwise
from anabranch.layers.windows import AXES
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.regularizers import Regularizer
    from anabranch.runtime import Generator, Tensor


class Drawing(fields.FieldLayer):
    """A layer that draws random numbers from a stream that follows from ``seed``, or from its path in the model. Abstract."""

    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    _generator: Generator | None = fields.state(init=False)

    def generator(self) -> Generator | None:
        """Return the generator to draw from, None for the process's."""
        if self.seed is None:
            return runtime.stream(self._home_)
        self._generator = runtime.generator(self.seed, self._generator)
        return self._generator


class Seeded(Drawing, Pointwise):
    """A layer that computes element by element with random numbers. Abstract."""


def _noise_shape(value: Sequence[int | None] | None, owner: object, name: str) -> tuple[int | None, ...] | None:
    return None if value is None else tuple(value)


class Dropping(Seeded):
    """Set a fraction of elements to 0 while training. Abstract."""

    rate: fields.NumberField = fields.number(least=0, most=1, doc="the fraction of elements that are dropped.")

    def noise(self) -> tuple[int | None, ...] | None:
        """Return the shape of what is drawn: 1 along axes whose elements are dropped together; None: each by itself."""
        return None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop while training."""
        return kernels.dropout(inputs, self.rate, self.noise(), self.generator()) if training and self.rate else inputs


class NoiseShaped(Dropping):
    """Drop elements, of which those along some axes may share their fate. Abstract."""

    _rule_checks_values_ = True

    _field_order_ = ("rate",)
    noise_shape: fields.Field[Sequence[int | None] | None, tuple[int | None, ...] | None] = fields.field(
        default=None, convert=_noise_shape, plain=fields.listed,
        doc="1 where the elements along an axis are dropped together, None where each is drawn; None: each.",
    )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, which ``noise_shape`` must fit."""
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
        """Return ``noise_shape``."""
        return self.noise_shape


class Dropout(NoiseShaped):
    """While training, set a fraction of elements to 0 and scale the rest by 1 / (1 - rate) (Srivastava et al. 2014).

    Example:
        >>> import numpy as np
        >>> Dropout(0.5)(np.ones((1, 2)), training=False).tolist()
        [[1.0, 1.0]]
    """


class AlphaDropout(NoiseShaped):
    """While training, set a fraction of elements to SELU's least value and scale so that mean and variance stay.

    Goes with ``selu`` (Klambauer et al. 2017, §2).

    Example:
        >>> import numpy as np
        >>> AlphaDropout(0.5)(np.ones((1, 2)), training=False).tolist()
        [[1.0, 1.0]]
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop while training."""
        return kernels.alpha_dropout(inputs, self.rate, self.noise(), self.generator()) if training and self.rate else inputs


class SpatialDropout(Dropping):
    """Drop whole channels (Tompson et al. 2015). Abstract."""

    _rule_checks_values_ = True

    rank: ClassVar[int]
    _others_by_position_ = {"name": fields.NAME_DOC, "dtype": "the float type; None: ``config.dtype_policy()``."}

    rate: fields.NumberField = fields.number(least=0, most=1, doc="the fraction of channels that are dropped.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        check_rank(input_shape, self.rank + 2, f"batch, {AXES[self.rank]}, channels")
        return input_shape

    def noise(self) -> tuple[int | None, ...]:
        """Return 1 along the spatial axes: a channel is dropped whole."""
        return (None, *(1,) * self.rank, None)

    def get_config(self) -> dict[str, Any]:
        """Return the settings without ``trainable``, which means nothing here and which Keras's layers of this name refuse."""
        return {key: value for key, value in super().get_config().items() if key != "trainable"}


class SpatialDropout1D(SpatialDropout):
    """While training, drop whole channels of (B, T, C) (Tompson et al. 2015).

    Example:
        >>> from anabranch import Input
        >>> SpatialDropout1D(0.2)(Input((20, 4))).shape
        (None, 20, 4)
    """

    rank = 1


class DroppingImages(SpatialDropout):
    """Drop whole channels of images with a data format. Abstract."""

    _field_order_ = ("rate",)
    data_format: fields.DataFormatField = fields.data_format(default=None)

    def noise(self) -> tuple[int | None, ...]:
        """Return 1 along the spatial axes."""
        return super().noise() if self.data_format == "channels_last" else (None, None, *(1,) * self.rank)


class SpatialDropout2D(DroppingImages):
    """While training, drop whole channels of (B, H, W, C) (Tompson et al. 2015).

    Example:
        >>> from anabranch import Input
        >>> SpatialDropout2D(0.2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    rank = 2


class SpatialDropout3D(DroppingImages):
    """While training, drop whole channels of (B, D, H, W, C) (Tompson et al. 2015).

    Example:
        >>> from anabranch import Input
        >>> SpatialDropout3D(0.2)(Input((8, 16, 16, 2))).shape
        (None, 8, 16, 16, 2)
    """

    rank = 3


class GaussianNoise(Seeded):
    """While training, add normal noise: x + stddev · n, n drawn from N(0, 1).

    Example:
        >>> import numpy as np
        >>> GaussianNoise(0.1)(np.ones((1, 2)), training=False).tolist()
        [[1.0, 1.0]]
    """

    stddev: fields.NumberField = fields.number(least=0, doc="the standard deviation of the noise.")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Add noise while training."""
        return kernels.gaussian_noise(inputs, self.stddev, self.generator()) if training and self.stddev else inputs


class GaussianDropout(Seeded):
    """While training, multiply by normal noise around 1 with variance rate / (1 - rate) (Srivastava et al. 2014).

    Example:
        >>> import numpy as np
        >>> GaussianDropout(0.5)(np.ones((1, 2)), training=False).tolist()
        [[1.0, 1.0]]
    """

    rate: fields.NumberField = fields.number(least=0, below=1, doc="the rate of the Dropout with as much noise.")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Multiply by noise while training."""
        return kernels.gaussian_dropout(inputs, self.rate, self.generator()) if training and self.rate else inputs


class ActivityRegularization(Pointwise):
    """Pass the input through; l1 · Σ|x| + l2 · Σx² of it, divided by the batch's size, joins the loss.

    Example:
        >>> import numpy as np
        >>> layer = ActivityRegularization(l1=0.5)
        >>> x = layer(np.ones((2, 3), "float32"))
        >>> float(layer.losses[0])
        1.5
    """

    l1: fields.NumberField = fields.number(default=0.0, least=0, doc="the factor of Σ|x|.")
    l2: fields.NumberField = fields.number(default=0.0, least=0, doc="the factor of Σx².")

    def _check_(self) -> None:
        super()._check_()
        if self._activity_regularizer_ is not None:
            raise ArgumentError(
                "ActivityRegularization makes its activity_regularizer of l1 and l2, and takes no other.",
                got=repr(self._activity_regularizer_), where=self._place_() or None,
                repair="layers.Identity(activity_regularizer=…) passes its input through as well",
            )  # fmt: skip

    @property  # type: ignore[misc]  # it follows from the settings
    def activity_regularizer(self) -> Regularizer:  # type: ignore[override]
        """The penalty that the settings make."""
        from anabranch import regularizers  # which most models do without

        return regularizers.L1L2(self.l1, self.l2)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the input."""
        return inputs
