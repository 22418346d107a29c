"""Rules for the shape and dtype of transforms along the last axes, where complex tensors are pairs (real, imaginary)."""

from __future__ import annotations

from anabranch.graph.records import Spec
from anabranch.graph.rules import Answer, Array, as_float


def transformed(x: object) -> tuple[Spec, Spec] | None:
    """Say that a pair of floats gives one of its shape."""
    part = _part(x)
    return None if part is None else (part, part)


def halved(x: Array, fft_length: int | None = None) -> tuple[Spec, Spec] | None:
    """Say that n real values give n // 2 + 1 complex ones."""
    known = as_float(x)
    if known is None or not x.shape or not _is_length(fft_length):
        return None
    part = Spec((*x.shape[:-1], _bins(x.shape[-1] if fft_length is None else fft_length)), known.dtype)
    return part, part


def restored(x: object, fft_length: int | None = None) -> Answer:
    """Say that n complex values give 2 · (n - 1) real ones."""
    part = _part(x)
    if part is None or not part.shape or not _is_length(fft_length):
        return None
    bins = part.shape[-1]
    size = fft_length if fft_length is not None else None if bins is None else 2 * (bins - 1)
    return Spec((*part.shape[:-1], size), part.dtype)


def framed(x: Array, sequence_length: int, sequence_stride: int) -> Answer:
    """Say that frames are taken along the last axis: (…, T) -> (…, frames, sequence_length)."""
    if not x.shape or not _is_length(sequence_length) or not _is_length(sequence_stride):
        return None
    return Spec((*x.shape[:-1], _frames(x.shape[-1], sequence_length, sequence_stride), sequence_length), x.dtype)


def spectra(
    x: Array, sequence_length: int, sequence_stride: int, fft_length: int, window: object = "hann", center: object = True
) -> tuple[Spec, Spec] | None:
    """Say that frames are transformed: (…, T) -> (…, frames, fft_length // 2 + 1)."""
    known = as_float(x)
    if known is None or not all(map(_is_length, (sequence_length, sequence_stride, fft_length))):
        return None
    size = x.shape[-1] if x.shape else None
    if size is not None and (size <= fft_length // 2 if center else size < fft_length):
        return None
    padded = None if size is None else size + (fft_length // 2 * 2 if center else 0)
    part = framed(Spec((*x.shape[:-1], padded), known.dtype), fft_length, sequence_stride) if x.shape else None
    return None if part is None else (Spec((*part.shape[:-1], _bins(fft_length)), part.dtype),) * 2


def _part(x: object) -> Spec | None:
    """Return the spec of either part of a pair of floats of one shape."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        return None
    first, second = x
    same = first.shape == second.shape and first.dtype == second.dtype and "float" in str(first.dtype)
    return Spec(tuple(first.shape), str(first.dtype).removeprefix("torch.")) if same else None


def _is_length(value: object) -> bool:
    return value is None or (type(value) is int and value > 0)


def _bins(size: int | None) -> int | None:
    return None if size is None else size // 2 + 1


def _frames(size: int | None, length: int, step: int) -> int | None:
    return None if size is None else (size - length) // step + 1
