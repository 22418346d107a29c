"""Spectra of signals: frames transformed by the kernels of a convolution, and the mel scale."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from anabranch.graph import Weight
from anabranch.ops._kernels.convolution import channels_front, pad_for
from anabranch.ops._types import Tensor
from anabranch.runtime.arrays import create, sizes
from anabranch.runtime.weights import native


def framed_by(x: Tensor, kernel: Weight, step: int, padding: str, data_format: str) -> Tensor:
    """Return each channel's frames times a kernel (frame, 1, F): (B, T, C), or channels first, -> (B, C, F, frames)."""
    signal = channels_front(x, 1, data_format)
    batch, channels, _ = sizes(signal, 3)
    flat, even = pad_for(signal.flatten(0, 1).unsqueeze(1), kernel.shape[:1], (step,), padding, (1,))
    found = torch.conv1d(flat, native(kernel), None, (step,), even)
    return found.unflatten(0, (batch, channels))  # type: ignore[no-untyped-call]  # untyped in torch


def spectrum(mode: str, real: Tensor | None, imaginary: Tensor | None, least: float) -> Tensor:
    """Return what ``mode`` says of both parts (B, C, F, frames) of a transform, of which one alone may be there."""
    if real is None or imaginary is None:
        return real if imaginary is None else imaginary  # type: ignore[return-value]  # one of them is there
    if mode == "angle":
        return torch.atan2(imaginary, real)
    if mode == "stft":
        return torch.cat((real, imaginary), 2)
    power = real.square() + imaginary.square()
    if mode == "psd":  # one side, so that all but the first and the last frequency count twice
        return power + F.pad(power[:, :, 1:-1], (0, 0, 1, 1))
    magnitude = power.clamp(min=least).sqrt()
    return magnitude if mode == "magnitude" else magnitude.clamp(min=least).log()


def channels_merged(x: Tensor, data_format: str, *, apart: bool) -> Tensor:
    """Return spectra (B, C, F, frames) as (B, frames, C · F) or, ``apart``, (B, frames, F, C); or with channels first."""
    if data_format == "channels_first":
        return x.transpose(2, 3) if apart else x.flatten(1, 2)
    return x.permute(0, 3, 2, 1) if apart else x.flatten(1, 2).transpose(1, 2)


def wide(x: Tensor, dtype: str) -> Tensor:
    """Return a signal in ``dtype``, or in float32 where that has fewer bits."""
    return x.to(torch.float64 if dtype == "float64" else torch.float32)


def mel(
    real: Tensor, imaginary: Tensor, exponent: float, bins: int, count: int, rate: int, edges: tuple[float, float]
) -> Tensor:
    """Return magnitudes to a power, summed in bands of the mel scale: two (…, frames, bins) -> (…, frames, count)."""
    power = real.square() + imaginary.square()
    power = power if exponent == 2 else power ** (exponent / 2)
    return power @ _bands(power, bins, count, rate, edges)


def _bands(like: Tensor, bins: int, count: int, rate: int, edges: tuple[float, float]) -> Tensor:
    """Return triangles (bins, count) that overlap by half, evenly spaced on the mel scale (HTK); the frequency 0 is in none."""
    kind = {"dtype": like.dtype, "device": like.device}
    heard = _mels(create(torch.linspace, 0.0, rate / 2, bins, **kind)[1:]).unsqueeze(1)
    low, high = (1127 * math.log1p(edge / 700) for edge in edges)
    points = create(torch.linspace, low, high, count + 2, **kind)
    left, center, right = points[:-2], points[1:-1], points[2:]
    sides = torch.minimum((heard - left) / (center - left), (right - heard) / (right - center))
    return F.pad(sides.clamp(min=0), (0, 0, 1, 0))


def _mels(frequencies: Tensor) -> Tensor:
    return 1127 * torch.log1p(frequencies / 700)


def decibels(x: Tensor, least: float, reference: float, depth: float) -> Tensor:
    """Return 10 · log₁₀(x / reference), at most ``depth`` below the greatest of all."""
    found = 10 * x.clamp(min=least).log10() - 10 * math.log10(max(abs(reference), least))
    return torch.maximum(found, found.max() - depth)
