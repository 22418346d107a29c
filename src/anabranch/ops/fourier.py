"""Fourier transforms along the last axes. Complex tensors are pairs of real ones here, as in Keras: (real, imaginary)."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch import runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import signal_rules as rules
from anabranch.graph.facts import last, last_two, pointwise
from anabranch.ops._public import operation
from anabranch.ops._torch import F, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import common, complex_of, dtype, floats, number_of, one_of, rank, shape, sizes, tensor, torch_dtype

ARGUMENTS = {
    "x": "the signal (…, T).",
    "x: Sequence[TensorLike]": "the pair (real, imaginary) of floats.",
    "fft_length: int | None": "the length of the transform, to which the signal is cut or padded; None: the signal's.",
    "fft_length: int": "the length of the transform of a frame, at least ``sequence_length``.",
    "sequence_length": "how many samples a frame has.",
    "sequence_stride": "how many samples are between the starts of two frames.",
    "window": '"hann", "hamming", a vector of ``sequence_length``, or None: all ones.',
    "center": "whether frame t is centered at sample t · ``sequence_stride``; otherwise it begins there.",
}


@operation(rules.transformed, last)
def fft(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """Return the discrete Fourier transform along the last axis.

    >>> fft(([1.0, 2.0], [0.0, 1.0]))
    (tensor([ 3., -1.]), tensor([ 1., -1.]))
    """
    joined, kind = _joined(x)
    return _parted(torch.fft.fft(joined), kind)


@operation(rules.transformed, last_two)
def fft2(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """Return the discrete Fourier transform along the last two axes.

    >>> fft2(([[1.0, 2.0]], [[0.0, 1.0]]))
    (tensor([[ 3., -1.]]), tensor([[ 1., -1.]]))
    """
    joined, kind = _joined(x)
    return _parted(torch.fft.fft2(joined), kind)


@operation(rules.transformed, last_two)
def ifft2(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """Return the inverse of ``fft2``.

    >>> ifft2(([[3.0, -1.0]], [[1.0, -1.0]]))
    (tensor([[1., 2.]]), tensor([[0., 1.]]))
    """
    joined, kind = _joined(x)
    return _parted(torch.fft.ifft2(joined), kind)


@operation(rules.halved, last)
def rfft(x: TensorLike, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the Fourier transform of a real signal, its frequencies from 0 to the highest: (…, T) -> (…, T // 2 + 1).

    >>> rfft([1.0, 2.0, 3.0, 4.0])
    (tensor([10., -2., -2.]), tensor([0., 2., 0.]))
    """
    x = floats(x)
    return _parted(torch.fft.rfft(_wide(x), fft_length), dtype(x))


@operation(rules.restored, last)
def irfft(x: Sequence[TensorLike], fft_length: int | None = None) -> Tensor:
    """Return the inverse of ``rfft``: (…, T // 2 + 1) -> (…, T).

    Args:
        fft_length: the length T of the result; None: the even one, 2 · (n - 1).

    >>> irfft(([10.0, -2.0, -2.0], [0.0, 2.0, 0.0]))
    tensor([1., 2., 3., 4.])
    """
    joined, kind = _joined(x)
    return torch.fft.irfft(joined, fft_length).to(torch_dtype(kind))


@operation(rules.framed, last)
def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Return the frames of a signal: (…, T) -> (…, frames, sequence_length).

    >>> extract_sequences([1, 2, 3, 4, 5, 6], 3, 2)
    tensor([[1, 2, 3],
            [3, 4, 5]], dtype=torch.int32)
    """
    length, step = number_of("sequence_length", sequence_length, 1), number_of("sequence_stride", sequence_stride, 1)
    return torch.unfold_copy(tensor(x), -1, length, step)


@operation(rules.spectra, last)
def stft(
    x: TensorLike, sequence_length: int, sequence_stride: int, fft_length: int, window: TensorLike | str | None = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the short-time Fourier transform: (…, T) -> (…, frames, fft_length // 2 + 1), real and imaginary part.

    >>> stft([1.0, 2.0, 3.0, 4.0], 2, 2, 2, window=None, center=False)[0]
    tensor([[ 3., -1.],
            [ 7., -1.]])
    """
    x = floats(x)
    size, step = number_of("fft_length", fft_length, 1), number_of("sequence_stride", sequence_stride, 1)
    wide = _wide(x)
    made = _window(window, sequence_length, size, dtype(wide))
    several = rank(wide) > 2
    flat = wide.flatten(0, -2) if several else wide
    found = torch.stft(flat, size, step, sequence_length, made, center=center, return_complex=True).transpose(-1, -2)
    found = found.reshape((*sizes(wide)[:-1], *sizes(found)[-2:])) if several else found
    return _parted(found, dtype(x))


@operation(mask=last_two)
def istft(
    x: Sequence[TensorLike], sequence_length: int, sequence_stride: int, fft_length: int, length: int | None = None,
    window: TensorLike | str | None = "hann", center: bool = True,
) -> Tensor:  # fmt: skip
    """Return the inverse of ``stft``: (…, frames, fft_length // 2 + 1) -> (…, T), frames added where they overlap.

    Args:
        length: the length T of the result; None: as far as the frames reach.

    >>> istft(([[3.0, -1.0], [7.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]]), 2, 2, 2, window=None, center=False)
    tensor([1., 2., 3., 4.])
    """
    joined, kind = _joined(x)
    size, step = number_of("fft_length", fft_length, 1), number_of("sequence_stride", sequence_stride, 1)
    length = None if length is None else number_of("length", length, 0)
    if rank(joined) < 2:
        raise ShapeError("istft takes frames.", expected="(…, frames, fft_length // 2 + 1)", got=str(shape(joined)))
    real = "float64" if dtype(joined) == "complex128" else "float32"
    made = _window(window, sequence_length, size, real)
    frames = torch.fft.irfft(joined.reshape((-1, *sizes(joined)[-2:])), size)
    start, end = (size // 2, -(size // 2) or None) if center else (0, None)
    end = end if length is None else start + length
    if sequence_length == size and center and window is not None:  # divided by what the squared windows add up to there
        counted = _added(made.square().expand(1, sizes(frames)[1], size), step)
        found = _added(frames * made, step)[:, start:end] / counted[:, start:end]
    else:
        found = _added(frames * _share(made, sequence_length, size, step), step)[:, start:end]
    found = found if length is None else F.pad(found, (0, length))[:, :length]
    batch = sizes(joined)[:-2]
    found = found.reshape((*batch, found.shape[-1])) if rank(joined) != 3 else found
    return found.to(torch_dtype(kind))


@operation(mask=last)
def view_as_complex(x: TensorLike) -> Tensor:
    """Return complex numbers of which the last axis has both parts: (…, 2) -> (…).

    Args:
        x: real and imaginary part along the last axis.

    >>> view_as_complex([[1.0, 2.0], [3.0, 4.0]])
    tensor([1.+2.j, 3.+4.j])
    """
    x = floats(x)
    if not shape(x) or shape(x)[-1] not in (2, None):
        raise ShapeError("The last axis must have the real and the imaginary part.", expected="(…, 2)", got=str(shape(x)))
    return complex_of(x[..., 0], x[..., 1])


@operation(mask=pointwise)
def view_as_real(x: TensorLike) -> Tensor:
    """Return both parts of complex numbers along a new last axis: (…) -> (…, 2).

    Args:
        x: complex numbers.

    >>> view_as_real([1 + 2j, 3 + 4j])
    tensor([[1., 2.],
            [3., 4.]])
    """
    x = tensor(x)
    if "complex" not in dtype(x):
        return torch.stack((x, torch.zeros_like(x)), -1)
    return torch.stack((torch.real(x), torch.imag(x)), -1)


def _joined(x: Sequence[TensorLike]) -> tuple[Tensor, str]:
    """Return a pair as complex numbers, and the dtype of its parts."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ArgumentTypeError(
            "A complex tensor is a pair.", expected="(real, imaginary)", got=f"{type(x).__name__} of {len(x)}",
            repair="(ops.real(z), ops.imag(z)) of complex numbers; (x, ops.zeros_like(x)) of real ones",
        )  # fmt: skip
    real, imaginary = common(*map(floats, x))
    known = shape(real), shape(imaginary)
    if len(known[0]) != len(known[1]) or any(a != b for a, b in zip(*known, strict=True) if None not in (a, b)):
        raise ShapeError("Both parts must have one shape.", got=f"real {known[0]}, imaginary {known[1]}")
    return complex_of(real, imaginary), dtype(real)


def _parted(found: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    real, imaginary = torch.real(found), torch.imag(found)
    return (real.to(torch_dtype(kind)), imaginary.to(torch_dtype(kind))) if _is_short(kind) else (real, imaginary)


def _is_short(kind: str) -> bool:
    return kind in ("float16", "bfloat16")


def _wide(x: Tensor) -> Tensor:
    """Return floats of 32 bits at least, which transforms need."""
    return x.to(torch.float32) if _is_short(dtype(x)) else x


def _window(window: TensorLike | str | None, length: int, size: int, kind: str) -> Tensor:
    if number_of("sequence_length", length, 1) > size:
        raise ArgumentError("fft_length must be at least sequence_length.", got=f"fft_length={size}, sequence_length={length}")
    if window is None:
        return runtime.create(torch.ones, (length,), dtype=torch_dtype(kind), device=runtime.device())
    if isinstance(window, str):
        make = {"hann": torch.hann_window, "hamming": torch.hamming_window}[one_of("window", window, ("hann", "hamming"))]
        return make(length, periodic=True, dtype=torch_dtype(kind), device=runtime.device())
    made = tensor(window).to(torch_dtype(kind))
    if shape(made) != (length,):
        raise ShapeError("window must be a vector of sequence_length.", expected=f"({length},)", got=str(shape(made)))
    return made


def _share(window: Tensor, length: int, size: int, step: int) -> Tensor:
    """Return what each sample of a frame counts, so that the squared windows of frames that overlap add up to 1."""
    before = (size - length) // 2
    padded = F.pad(window, (before, size - length - before))
    overlaps = -(-size // step)
    total = F.pad(padded.square(), (0, overlaps * step - size)).reshape(overlaps, step).sum(0)
    return padded / total.repeat(overlaps)[:size]


def _added(frames: Tensor, step: int) -> Tensor:
    """Return frames added up where they overlap: (B, frames, n) -> (B, T)."""
    count, size = sizes(frames)[1:]
    total = step * (count - 1) + size
    folded = F.fold(frames.transpose(1, 2), (1, total), (1, size), stride=(1, step))
    return folded.reshape((-1, total))
