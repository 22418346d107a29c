"""Spectrograms: what they say of tones, named windows, true lengths, frozen kernels, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anabranch import Input, Model, layers
from anabranch._errors import AnabranchError, ArgumentError, ShapeError

TIMES = np.arange(4000) / 8000
TONE = np.sin(2 * np.pi * 1000 * TIMES).astype("float32")


def test_a_tone_is_found_at_its_frequency() -> None:
    magnitude = layers.STFTSpectrogram("magnitude", frame_length=256)(TONE[None, :, None])
    assert (magnitude[0].argmax(-1) == 256 * 1000 // 8000).all()
    bands = layers.MelSpectrogram(fft_length=512, sequence_stride=256, sampling_rate=8000, num_mel_bins=40)(TONE)
    centers = 700 * (np.exp(np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(4000 / 700), 42)[1:-1] / 1127) - 1)
    assert abs(centers[int(bands[:, 5].argmax())] - 1000) < 60


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("name", "window"), [("hann", np.hanning), ("hamming", np.hamming), ("blackman", np.blackman)])
def test_named_windows_are_those_of_numpy(keras: Any, name: str, window: Any, periodic: bool) -> None:
    values = (window(33)[:-1] if periodic else window(32)).tolist()
    signal = np.random.default_rng(0).normal(size=(2, 100, 1)).astype("float32")
    ours = layers.STFTSpectrogram("magnitude", frame_length=32, window=name, periodic=periodic)(signal)
    theirs = keras.layers.STFTSpectrogram("magnitude", frame_length=32, window=values)(signal)
    assert np.allclose(ours.detach().cpu(), theirs.detach().cpu(), atol=1e-5)


@pytest.mark.parametrize("length", [59, 60, 61])
@pytest.mark.parametrize("size", [16, 15])
def test_frames_described_are_those_that_come(length: int, size: int) -> None:
    layer = layers.MelSpectrogram(fft_length=size, sequence_stride=5, num_mel_bins=3, sampling_rate=64)
    assert tuple(layer(np.ones((2, length), "float32")).shape) == (2, *layer(Input((length,))).shape[1:])


def test_channels_of_signals_have_axes_of_their_own() -> None:
    layer = layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=3)
    signal = np.random.default_rng(0).normal(size=(2, 3, 500)).astype("float32")
    assert layer(Input((3, 500))).shape == (None, 3, 3, 16)
    assert tuple(layer(signal).shape) == (2, 3, 3, 16)
    assert tuple(layer(signal[0, 0]).shape) == (3, 16)


def test_kernels_are_trained_unless_they_are_frozen() -> None:
    signal = np.random.default_rng(0).normal(size=(4, 64, 1)).astype("float32")
    for trainable in (False, True):
        start = Input((64, 1))
        spectra = layers.STFTSpectrogram(frame_length=16, trainable=trainable)(start)
        model = Model(start, layers.Dense(1)(spectra))
        before = [weight.numpy().copy() for weight in model.weights]
        model.compile("sgd", "mse")
        model.fit(signal, np.zeros((4, 7, 1)), verbose=0)
        changed = [not np.array_equal(a, weight.numpy()) for a, weight in zip(before, model.weights, strict=True)]
        assert changed == [trainable, trainable, True, True]


def test_settings_that_none_means_follow_the_others() -> None:
    layer = layers.MelSpectrogram(sequence_length=None, fft_length=64, sampling_rate=100)
    config = layer.get_config()
    assert (config["sequence_length"], config["max_freq"]) == (64, 50)
    assert layers.MelSpectrogram.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9), ArgumentError, "frame_step=9"),
        (lambda: layers.STFTSpectrogram(frame_length=8, fft_length=4), ArgumentError, "fft_length=4"),
        (lambda: layers.STFTSpectrogram("power"), AnabranchError, "mode"),
        (lambda: layers.STFTSpectrogram(window="han"), AnabranchError, "hann"),
        (lambda: layers.STFTSpectrogram(window=[]), AnabranchError, "window"),
        (lambda: layers.STFTSpectrogram()(Input((100, 1))), ShapeError, "256"),
        (lambda: layers.MelSpectrogram(sequence_length=9, fft_length=8), ArgumentError, "sequence_length=9"),
        (lambda: layers.MelSpectrogram()(Input((1024,))), ShapeError, "mirrored"),
    ],
)
def test_what_does_not_go_together_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
