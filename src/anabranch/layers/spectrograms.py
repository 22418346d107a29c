"""Spectrograms: layers that show which frequencies a signal has at which time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch import config, initializers, ops
from anabranch._asked import is_integer, is_number, method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, unknown
from anabranch.graph import Shape, Weight
from anabranch.layers import fields
from anabranch.layers.windows import channels_of, windows_shape
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

WindowField: TypeAlias = "fields.Field[str | Sequence[float] | None, str | tuple[float, ...] | None]"
IntegerField: TypeAlias = "fields.Field[int, int]"
_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


def _window(*names: str) -> Callable[[object, object, str], object]:
    """Return what takes the name of a window, its values, or None."""

    def convert(value: object, owner: object, name: str) -> object:
        if value is None or value in names:
            return value
        if isinstance(value, str):
            raise unknown(name, value, names, of=type(owner).__name__)
        listed = method(value, "tolist")
        found = listed() if listed else value
        if not isinstance(found, (list, tuple)) or not found or not all(isinstance(each, (int, float)) for each in found):
            raise ArgumentTypeError(f"{name} must be a name, a vector or None.", expected=", ".join(names), got=shown(value))
        return tuple(map(float, found))

    return convert


class STFTSpectrogram(fields.FieldLayer):
    """Transform the frames of a signal by a convolution whose kernels are weights: (B, T, C) -> (B, frames, C · F).

    F is ``fft_length // 2 + 1``, twice that for "stft". The kernels begin as a short-time Fourier transform, which
    ``trainable=False`` leaves as it is.

    Example:
        >>> from anabranch import Input
        >>> STFTSpectrogram(frame_length=256, frame_step=128, fft_length=512)(Input((16000, 1))).shape
        (None, 124, 257)
    """

    _takes_integers_ = False
    _takes_one_tensor_ = True

    mode: fields.Field[str, str] = fields.choice(
        *_MODES, default="log", fixed=True,
        doc="log of the magnitude, the magnitude, the power (psd), a part of the transform, its angle, or both parts (stft).",
    )  # fmt: skip
    frame_length: IntegerField = fields.integer(default=256, fixed=True, doc="how many samples a frame has.")
    frame_step: fields.Field[int | None, int | None] = fields.integer(
        default=None, optional=True, doc="how many samples are between the starts of two frames; None: half a frame."
    )
    fft_length: fields.Field[int | None, int | None] = fields.integer(
        default=None, optional=True, fixed=True, doc="the transform's length; None: the power of two from ``frame_length`` on."
    )
    window: WindowField = fields.field(
        default="hann", convert=_window("hann", "hamming", "blackman", "bartlett", "boxcar"), plain=fields.listed, fixed=True,
        doc="'hann', 'hamming', 'blackman', 'bartlett', 'boxcar', ``frame_length`` values, or None: all ones.",
    )  # fmt: skip
    periodic: fields.BooleanField = fields.boolean(default=False, doc="whether the window is periodic.", fixed=True)
    scaling: fields.Field[str | None, str | None] = fields.choice(
        "density", "spectrum", None, default="density", fixed=True,
        doc="'density' divides by the window's length, 'spectrum' by its sum.",
    )  # fmt: skip
    padding: fields.PaddingField = fields.padding(default="valid")
    expand_dims: fields.BooleanField = fields.boolean(default=False, doc="whether channels have an axis apart, as in images.")
    data_format: fields.DataFormatField = fields.data_format(default=None)

    real_kernel: Weight | None = fields.weight_state(init=False)
    imag_kernel: Weight | None = fields.weight_state(init=False)

    def _check_(self) -> None:
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise ArgumentError(
                "Frames must touch.", expected=f"frame_step ≤ frame_length={self.frame_length}",
                got=f"frame_step={self.frame_step}", where=str(self._made_at_),
            )  # fmt: skip
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ArgumentError(
                "A frame must fit into the transform.", expected=f"fft_length ≥ frame_length={self.frame_length}",
                got=f"fft_length={self.fft_length}", where=str(self._made_at_),
            )  # fmt: skip

    def _step(self) -> int:
        return self.frame_step or max(1, self.frame_length // 2)

    def _frequencies(self) -> int:
        return (self.fft_length or 1 << (self.frame_length - 1).bit_length()) // 2 + 1

    def build(self, input_shape: Shape) -> None:
        """Make the kernels of the parts that ``mode`` needs."""
        for side in ("real", "imag"):
            if self.mode not in {"real", "imag"} - {side}:
                made = initializers.STFT(side, self.window, self.scaling, self.periodic)
                self.weight(
                    f"{side}_kernel", (self.frame_length, 1, self._frequencies()), axes=(2, 1, 0), initializer=made
                )  # torch's order: (F, 1, frame)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, T, C) -> (B, frames, C · F), or with ``expand_dims`` (B, frames, F, C)."""
        channels = channels_of(input_shape, 1, self.data_format)
        count = self._frequencies() * (2 if self.mode == "stft" else 1)
        merged = windows_shape(
            input_shape, (self.frame_length,), (self._step(),), self.padding, self.data_format, (1,),
            None if channels is None else count * channels,
        )  # fmt: skip
        if not self.expand_dims:
            return merged
        if self.data_format == "channels_first":
            return (merged[0], channels, merged[2], count)
        return (merged[0], merged[1], count, channels)

    def call(self, inputs: Tensor) -> Tensor:
        """Transform."""
        real, imaginary = (
            None if kernel is None else kernels.framed_by(inputs, kernel, self._step(), self.padding, self.data_format)
            for kernel in (self.real_kernel, self.imag_kernel)
        )
        found = kernels.spectrum(self.mode, real, imaginary, config.epsilon())
        return kernels.channels_merged(found, self.data_format, apart=self.expand_dims)


def _length(value: object, owner: MelSpectrogram, name: str) -> int:
    if value is None:
        return owner.fft_length
    if not is_integer(value) or value < 1:
        raise ArgumentError(f"{name} of MelSpectrogram must be an integer ≥ 1 or None.", got=shown(value))
    return int(value)


def _highest(value: object, owner: MelSpectrogram, name: str) -> float:
    if value is None:
        return owner.sampling_rate // 2
    if not is_number(value) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} of MelSpectrogram must be a finite number > 0 or None.", got=shown(value))
    return value


class MelSpectrogram(fields.FieldLayer):
    """Show a signal's power in bands of the mel scale, by a short-time Fourier transform: (…, T) -> (…, num_mel_bins, frames).

    Frame t is centered at sample t · ``sequence_stride``. Bands are triangles, evenly spaced on the scale
    mel(f) = 2595 · log₁₀(1 + f / 700) (Stevens et al. 1937; HTK's form). ``top_db`` counts from the greatest of the batch.

    Example:
        >>> from anabranch import Input
        >>> MelSpectrogram(num_mel_bins=80)(Input((16000,))).shape
        (None, 80, 32)
    """

    _takes_integers_ = False
    _takes_one_tensor_ = True

    fft_length: IntegerField = fields.integer(default=2048, doc="the transform's length.")
    sequence_stride: IntegerField = fields.integer(default=512, doc="how many samples are between two frames.")
    sequence_length: fields.Field[int | None, int] = fields.field(
        default=None, convert=_length, fresh=True, doc="how many samples the window covers; None: ``fft_length``."
    )
    window: WindowField = fields.field(
        default="hann", convert=_window("hann", "hamming"), plain=fields.listed,
        doc="'hann', 'hamming', ``sequence_length`` values, or None: all ones.",
    )  # fmt: skip
    sampling_rate: IntegerField = fields.integer(default=16000, least=2, doc="samples in a second.")
    num_mel_bins: IntegerField = fields.integer(default=128, doc="the number of bands.")
    min_freq: fields.NumberField = fields.number(default=20.0, least=0, doc="where the first band begins, in Hz.")
    max_freq: fields.Field[float | None, float] = fields.field(
        default=None, convert=_highest, fresh=True, doc="where the last band ends, in Hz; None: half the sampling rate."
    )
    power_to_db: fields.BooleanField = fields.boolean(default=True, doc="whether the result is in decibels.")
    top_db: fields.NumberField = fields.number(default=80.0, doc="what is further below the greatest is lifted to there.")
    mag_exp: fields.NumberField = fields.number(default=2.0, doc="the power of the magnitude: 1, 2 for power, …")
    min_power: fields.NumberField = fields.number(default=1e-10, above=0, doc="the least power that counts in decibels.")
    ref_power: fields.NumberField = fields.number(default=1.0, doc="the power of 0 decibels.")

    def _take_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        later = ("sequence_length", "max_freq")  # None means what follows from the others, so these come first
        return super()._take_(args, {name: value for name, value in kwargs.items() if value is not None or name not in later})

    def _check_(self) -> None:
        if self.sequence_length > self.fft_length:
            raise ArgumentError(
                "A window must fit into the transform.", expected=f"sequence_length ≤ fft_length={self.fft_length}",
                got=f"sequence_length={self.sequence_length}", where=str(self._made_at_),
            )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(…, T) -> (…, num_mel_bins, T // sequence_stride + 1)."""
        if not input_shape:
            raise ShapeError("A signal has an axis of samples.", expected="(…, T)", got="()")
        length = input_shape[-1]
        half = self.fft_length // 2
        if length is not None and length <= half:
            raise ShapeError(
                "A signal must be longer than half a frame, as it is mirrored at its ends.", expected=f"T > {half}",
                got=str(input_shape), repair="a smaller fft_length, or a longer signal",
            )  # fmt: skip
        frames = None if length is None else (length + 2 * half - self.fft_length) // self.sequence_stride + 1
        return (*input_shape[:-1], self.num_mel_bins, frames)

    def call(self, inputs: Tensor) -> Tensor:
        """Transform, sum up in bands, and take decibels."""
        signal = kernels.wide(inputs, self.compute_dtype)
        real, imaginary = ops.stft(signal, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        found = kernels.mel(
            real, imaginary, self.mag_exp, self.fft_length // 2 + 1, self.num_mel_bins, self.sampling_rate,
            (self.min_freq, self.max_freq),
        )  # fmt: skip
        if self.power_to_db:
            found = kernels.decibels(found, self.min_power, self.ref_power, self.top_db)
        return kernels.cast(found.transpose(-1, -2), self.compute_dtype)
