"""Keras with some of its faults mended, so that the fuzzer compares what it otherwise could only call known.

Each mend is a function in the place of one of Keras's; what is wrong there is in its docstring, and ``SHOWN`` has a script
that differs without it and is the same with it. Mends hold in the process of the fuzzer alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from keras.src import backend
from keras.src.backend.torch import image, nn, numpy
from keras.src.layers.attention.multi_head_attention import MultiHeadAttention
from keras.src.layers.core.dense import Dense
from keras.src.layers.core.embedding import Embedding
from keras.src.layers.preprocessing.image_preprocessing.auto_contrast import AutoContrast
from keras.src.layers.preprocessing.image_preprocessing.clahe import ContrastLimitedAdaptiveHistogramEqualization as Clahe
from keras.src.layers.preprocessing.image_preprocessing.equalization import Equalization

_attention, _affine, _clahe, _one_hot, _pad = (
    nn.dot_product_attention, image.affine_transform, Clahe._clahe, nn.one_hot, numpy.pad,
)  # fmt: skip
_heads, _perspective, _scale = MultiHeadAttention.call, image.perspective_transform, image.scale_and_translate
_along = numpy.take_along_axis
_equalize, _stretch = Equalization.transform_images, AutoContrast.transform_images
HALF = (torch.float16, torch.bfloat16)


def attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
    is_causal: bool = False,
    **more: Any,
) -> torch.Tensor:
    """Give a query that may attend to nothing zeros; Keras the mean of all values, though zeros in its other ways."""
    found = _attention(query, key, value, bias, mask, scale, is_causal, **more)
    if mask is None:
        return found
    allowed = backend.convert_to_tensor(mask, dtype="bool")
    if is_causal:
        allowed = allowed & torch.ones(found.shape[1], key.shape[1], dtype=torch.bool).tril()
    batch, steps, heads, _ = found.shape
    sees = allowed.any(-1).broadcast_to((batch, heads, steps)).transpose(1, 2)[..., None]
    return torch.where(sees, found, torch.zeros((), dtype=found.dtype))


def affine(
    images: Any, transform: Any, interpolation: str = "bilinear", fill_mode: str = "constant", fill_value: Any = 0,
    data_format: str | None = None,
) -> torch.Tensor:  # fmt: skip
    """Divide by c₀x + c₁y + 1, as Keras's documentation has it; Keras reads other channels there, and changes ``transform``."""
    images, transform = backend.convert_to_tensor(images), backend.convert_to_tensor(transform).clone()
    transform = _wide(transform)
    if images.ndim not in (3, 4) or transform.ndim not in (1, 2) or not transform[..., 6:].any():
        return _affine(images, transform, interpolation, fill_mode, fill_value, data_format)
    first = backend.standardize_data_format(data_format) == "channels_first"
    batch = images if images.ndim == 4 else images[None]
    batch = batch.permute(0, 2, 3, 1) if first else batch
    transform = transform if transform.is_floating_point() else transform.float()  # the positions have its digits
    rows, columns, channels = (torch.arange(size, dtype=transform.dtype) for size in batch.shape[1:])
    y, x, channel = torch.meshgrid(rows, columns, channels, indexing="ij")
    found = []
    for one, of_one in zip(batch, transform.reshape(-1, 8).broadcast_to(len(batch), 8), strict=True):
        a0, a1, a2, b0, b1, b2, c0, c1 = of_one
        by = c0 * x + c1 * y + 1
        where = [(b0 * x + b1 * y + b2) / by, (a0 * x + a1 * y + a2) / by, channel]
        order = image.AFFINE_TRANSFORM_INTERPOLATIONS[interpolation]
        found.append(image.map_coordinates(one, where, order, fill_mode=fill_mode, fill_value=fill_value))
    result = torch.stack(found) if found else batch
    result = result.permute(0, 3, 1, 2) if first else result
    return result if images.ndim == 4 else result[0]


def perspective(images: Any, start_points: Any, end_points: Any, *given: Any, **named: Any) -> torch.Tensor:
    """Compute positions in 32 bits; Keras in the half floats of the images, which are off by pixels."""
    images = backend.convert_to_tensor(images)
    found: torch.Tensor = _perspective(_wide(images), start_points, end_points, *given, **named)
    return found.to(images.dtype)


def scale(images: Any, output_shape: Any, scale: Any, translation: Any, *given: Any, **named: Any) -> torch.Tensor:
    """Compute positions in 32 bits; Keras in half floats, where scale and translation are."""
    scale, translation = (_wide(backend.convert_to_tensor(each)) for each in (scale, translation))
    found: torch.Tensor = _scale(images, output_shape, scale, translation, *given, **named)
    return found


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype in HALF else x


def along(x: Any, indices: Any, axis: int | None = None) -> torch.Tensor:
    """Count negative indices from the end of all elements where no axis is given; Keras from the size of the first axis."""
    if axis is None:
        x, indices = (backend.convert_to_tensor(each).reshape(-1) for each in (x, indices))
    found: torch.Tensor = _along(x, indices, 0 if axis is None else axis)
    return found


def clahe(layer: Any, images: Any) -> Any:
    """Count in floats, and pad by the mirror image, as Keras on TensorFlow; on torch the limit is cut to an integer."""

    def pad(x: torch.Tensor, width: Any, mode: str = "constant", **more: Any) -> torch.Tensor:
        if mode != "symmetric":
            return _pad(x, width, mode, **more)
        for axis, each in enumerate(width):
            x = x.index_select(axis, torch.from_numpy(np.pad(np.arange(x.shape[axis]), each, mode="symmetric")))
        return x

    floats = mock.patch.object(nn, "one_hot", lambda *given, **named: _one_hot(*given, **named).float())
    with floats, mock.patch.object(numpy, "pad", pad):
        return _clahe(layer, images)


def equalize(layer: Any, images: Any, transformation: Any, training: bool = True) -> Any:
    """Take the histogram of each image; Keras one of the whole batch."""
    if images.ndim != 4 or len(images) < 2 or not training:
        return _equalize(layer, images, transformation, training)
    return torch.cat([_equalize(layer, each, transformation, training) for each in images.split(1)])


def stretch(layer: Any, images: Any, transformation: Any = None, training: bool = True) -> Any:
    """Stretch half floats in 32 bits; Keras by way of 0 to 255 in 16, which is off by 1, and infinite for a small range."""
    if layer.compute_dtype not in ("float16", "bfloat16"):
        return _stretch(layer, images, transformation, training)
    with mock.patch.object(AutoContrast, "compute_dtype", "float32"):
        return _stretch(layer, images.float(), transformation, training).to(getattr(torch, layer.dtype_policy.compute_dtype))


@functools.wraps(MultiHeadAttention.call)  # its signature says what masks it takes
def heads(layer: Any, *given: Any, **named: Any) -> Any:
    """Leave queries, keys and values their masks; Keras takes them away, for all that comes after it in a model too."""
    masks = [(x, backend.get_keras_mask(x)) for x in (*given, *named.values()) if isinstance(x, torch.Tensor)]
    found = _heads(layer, *given, **named)
    for x, mask in masks:
        if mask is not None:
            backend.set_keras_mask(x, mask)
    return found


def low_rank(own: Callable[..., None]) -> Callable[..., None]:
    """Use the ``lora_alpha`` that a new layer was given; Keras's ``build`` remembers it for convolutions alone."""

    @functools.wraps(own)
    def enable_lora(self: Any, rank: int, *args: Any, lora_alpha: float | None = None, **more: Any) -> None:
        given = self.lora_alpha if lora_alpha is None and self.lora_rank else lora_alpha
        own(self, rank, *args, lora_alpha=given, **more)

    return enable_lora


class Mend(NamedTuple):
    """Where a function goes, and what shows that it is needed."""

    owner: Any
    name: str
    function: Callable[..., Any]
    shown: tuple[str, ...]


MENDS = (
    Mend(nn, "dot_product_attention", attention, (
        "x = draw(0, 'float32', (1, 3, 2, 4))",
        "y = keras.ops.dot_product_attention(x, x, x, mask=draw(0, 'int32', (1, 1, 3, 3), 0, 1))",
    )),
    Mend(nn, "dot_product_attention", attention, (
        "layer = keras.layers.MultiHeadAttention(2, 3, sliding_window=1)",
        "x = draw(72, 'float32', (3, 5, 6))",
        "z = draw(53, 'float32', (3, 3, 6))",
        "layer(x, z)",
        "fill(layer, 57)",
        "y = layer(x, z)",
    )),
    Mend(image, "affine_transform", affine, (
        "y = keras.ops.image.affine_transform(draw(0, 'float32', (1, 8, 9, 4)), draw(1, 'float32', (8,)))",
    )),
    Mend(image, "perspective_transform", perspective, (
        "x = draw(504, 'bfloat16', (3, 8, 9, 4))",
        "points = draw(158, 'bfloat16', (4, 2), 0, 8), draw(315, 'bfloat16', (4, 2), 0.9908, 9.298)",
        "y = keras.ops.image.perspective_transform(x, *points)",
    )),
    Mend(image, "scale_and_translate", scale, (
        "x = draw(0, 'float32', (3, 90))",
        "given = draw(1, 'bfloat16', (1,), 0.6, 1.5), draw(0, 'bfloat16', (1,))",
        "y = keras.ops.image.scale_and_translate(x, (3, 80), *given, (1,), 'cubic')",
    )),
    Mend(numpy, "take_along_axis", along, (
        "y = keras.ops.take_along_axis(draw(0, 'int64', (3, 4, 5)), np.array([-1, -2]))",
    )),
    Mend(MultiHeadAttention, "call", heads, (
        "i = keras.Input((4,), dtype='int32')",
        "e = keras.layers.Embedding(7, 3, mask_zero=True)",
        "x = e(i)",
        "fill(e, 44)",
        "after = keras.layers.AdditiveAttention(use_scale=False)([x, x])",
        "m = keras.Model(i, [after, keras.layers.MultiHeadAttention(2, 3)(x, x)])",
        "y = m(draw(877, 'int32', (3, 4), 0, 7))[0]",
    )),
    *(Mend(layer, "enable_lora", low_rank(layer.enable_lora), (
        f"layer = keras.layers.{made}, lora_rank=4, lora_alpha=0.5)", f"x = draw(0, '{dtype}', (2, 4), 0, 7)",
        "layer(x)", "fill(layer, 97)", "y = layer(x)",
    )) for layer, made, dtype in ((Dense, "Dense(3", "float32"), (Embedding, "Embedding(7, 3", "int32"))),
    Mend(Clahe, "_clahe", clahe, (
        "layer = keras.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2), clip_limit=0.5)",
        "y = layer(draw(0, 'float32', (1, 7, 6, 3), 0, 255))",
    )),
    Mend(AutoContrast, "transform_images", stretch, (
        "layer = keras.layers.AutoContrast((-9, 9), dtype='bfloat16')",
        "y = layer(draw(0, 'float32', (1, 5, 6, 3), 0, 2))",
    )),
    Mend(Equalization, "transform_images", equalize, (
        "layer = keras.layers.Equalization()", "y = layer(draw(0, 'float32', (2, 6, 5, 3), 0, 255), training=True)",
    )),
)  # fmt: skip
OWN = {(each.owner, each.name): getattr(each.owner, each.name) for each in MENDS}
"""Keras's own functions."""


def apply() -> None:
    """Mend Keras in this process."""
    for each in MENDS:
        setattr(each.owner, each.name, each.function)


@contextmanager
def undone() -> Any:
    """Have Keras's own functions for a while."""
    for (owner, name), function in OWN.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        apply()
