"""Pictures, texts and sounds in folders, as pipelines of batches."""

from __future__ import annotations

import functools
import os
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from anabranch import _images, config, ops
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._docstrings import described
from anabranch._errors import ArgumentError, FileError, FileFormatError
from anabranch.pipelines.indexing import ARGUMENTS, RAISES, Labels, Made, Request, pipelines
from anabranch.pipelines.pipeline import Element, stacked

documented = described(ARGUMENTS, RAISES)


@checked
@documented
def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Made:
    """Return the pictures of a folder as batches (B, H, W, C) of floats from 0 to 255; threads read them.

    Args:
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``: 1, 3 or 4 channels.
        image_size: the (height, width) that pictures are resized to.
        interpolation: as in ``ops.image.resize``.
        crop_to_aspect_ratio: whether the middle is cut out in the ratio of ``image_size``, in the place of stretching.
        pad_to_aspect_ratio: whether zeros are added in its place.
        data_format: ``"channels_last"`` or ``"channels_first"``; that of ``config`` unless given.

    Example:
        >>> import pathlib, tempfile
        >>> from anabranch import utils
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cats", "dogs"):
        ...     (folder / name).mkdir()
        ...     utils.save_img(folder / name / "1.png", [[[0.0, 0.0, 1.0]]])
        >>> data = image_dataset_from_directory(folder, image_size=(8, 8), verbose=False)
        >>> images, labels = next(iter(data))
        >>> images.shape, sorted(labels.tolist()), data.class_names
        (torch.Size([2, 8, 8, 3]), [0, 1], ['cats', 'dogs'])
    """
    if color_mode not in ("grayscale", "rgb", "rgba"):
        raise ArgumentError("color_mode must be 'grayscale', 'rgb' or 'rgba'.", got=shown(color_mode))
    if len(image_size) != 2 or min(image_size) < 1:
        raise ArgumentError("image_size must be (height, width), both ≥ 1.", got=shown(image_size))
    _images.pillow()
    resize = functools.partial(
        ops.image.resize, size=image_size, interpolation=interpolation, crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio, data_format="channels_last",
    )  # fmt: skip
    resize(torch.zeros(1, 2, 2, 1))  # what it refuses is refused now
    first = config.check_data_format(data_format) == "channels_first"

    read = functools.partial(_picture, color_mode=color_mode, resize=resize, first=first)
    request = Request(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links, verbose
    )
    return pipelines(request, _images.FORMATS, read)


@checked
@documented
def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Made:
    """Return the texts of a folder, files that end in .txt, as batches (B,) of strings.

    Args:
        max_length: how many characters of a text are read; all unless given.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("bad", "good"):
        ...     (folder / name).mkdir()
        ...     _ = (folder / name / "1.txt").write_text(f"a {name} film")
        >>> texts, labels = next(iter(text_dataset_from_directory(folder, shuffle=False, verbose=False)))
        >>> texts.tolist(), labels.tolist()
        (['a bad film', 'a good film'], [0, 1])
    """
    read = functools.partial(_text, max_length=max_length)
    request = Request(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links, verbose
    )
    return pipelines(request, (".txt",), read)


@checked
@documented
def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Made:
    """Return the sounds of a folder, files of PCM that end in .wav, as batches (B, T, C) of floats from -1 to 1.

    Args:
        sampling_rate: samples a second that sounds are interpolated to; as in the files unless given.
        output_sequence_length: how many samples a sound has, cut or padded with zeros; as the batch's longest unless given.
        ragged: must be False: batches are padded.

    Example:
        >>> import pathlib, tempfile, wave
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with wave.open(str(folder / "1.wav"), "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     file.writeframes(bytes([0, 64] * 10))
        >>> data = audio_dataset_from_directory(folder, labels=None, output_sequence_length=12, verbose=False)
        >>> next(iter(data))[0, :, 0].tolist()[8:]
        [0.5, 0.5, 0.0, 0.0]
    """
    if ragged:
        raise ArgumentError(
            "There are no ragged tensors in torch.", got="ragged=True", repair="ragged=False pads batches with zeros"
        )
    if sampling_rate is not None and sampling_rate < 1:
        raise ArgumentError("sampling_rate must be ≥ 1.", got=shown(sampling_rate))

    read = functools.partial(_fitted_sound, rate=sampling_rate, length=output_sequence_length)
    request = Request(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links, verbose
    )
    return pipelines(request, (".wav",), read, _padded)


def _picture(path: str, color_mode: str, resize: Callable[[torch.Tensor], torch.Tensor], first: bool) -> torch.Tensor:
    picture = _images.load_img(path, color_mode)
    pixels = resize(torch.from_numpy(np.array(_images.img_to_array(picture, "channels_last", "float32"))))
    return pixels.permute(2, 0, 1) if first else pixels


def _text(path: str, max_length: int | None) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")[:max_length]
    except OSError as error:
        raise FileError.of(error, f"{path} cannot be read.", got=error.strerror) from error


def _fitted_sound(path: str, rate: int | None, length: int | None) -> torch.Tensor:
    return _fitted(_sound(path, rate), length)


def _sound(path: str, rate: int | None) -> torch.Tensor:
    """Return (T, C) samples from -1 to 1."""
    try:
        with wave.open(path, "rb") as file:
            width, channels, own = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise FileError.of(error, f"{path} cannot be read.", got=error.strerror) from error
    except (wave.Error, EOFError) as error:
        raise FileFormatError(f"{path} is no WAV file of PCM.", got=str(error)) from error
    if width == 1:
        values = np.frombuffer(data, np.uint8).astype("float32") / 128 - 1
    elif width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = wide.view("<i4")[:, 0].astype("float32") / 2**31
    else:
        values = np.frombuffer(data, f"<i{width}").astype("float32") / 2 ** (8 * width - 1)
    sound = torch.from_numpy(values.reshape(-1, channels))
    if rate is None or rate == own:
        return sound
    length = max(1, round(len(sound) * rate / own))
    return torch.nn.functional.interpolate(sound.T[None], size=length, mode="linear", align_corners=False)[0].T


def _fitted(sound: torch.Tensor, length: int | None) -> torch.Tensor:
    if length is None:
        return sound
    return torch.nn.functional.pad(sound[:length], (0, 0, 0, max(0, length - len(sound))))


def _padded(rows: list[Element]) -> Element:
    """Return sounds of unequal lengths as one batch, padded with zeros."""
    labeled = isinstance(rows[0], tuple)
    sounds = [row[0] if labeled else row for row in rows]
    batch = stacked([_fitted(sound, max(map(len, sounds))) for sound in sounds])
    return (batch, stacked([row[1] for row in rows])) if labeled else batch
