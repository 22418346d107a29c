"""Images as the networks take them, and their answers as names of ImageNet's classes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from anabranch import config, ops
from anabranch._arguments import checked, guarded
from anabranch._asked import is_from, shown
from anabranch._docstrings import described
from anabranch._errors import ArgumentError, DataError
from anabranch.applications._building import Published, file_of
from anabranch.applications._pixels import DEVIATIONS, MEANS

if TYPE_CHECKING:
    from anabranch.ops._types import TensorLike

__all__ = ["decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

F = TypeVar("F", bound=Callable[..., Any])
Prepared: TypeAlias = Any
"""An array, or a tensor, as images were given."""
CLASSES = Published(
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json", "c2c37ea517e94d9795004a39431a14cb"
)
ARGUMENTS = {
    "x": "images (B, H, W, C) or (H, W, C), values from 0 to 255: an array, a tensor or a symbolic tensor. It stays as it is.",
    "data_format": '``"channels_last"`` or ``"channels_first"``; that of ``config`` unless given.',
    "preds": "probabilities (B, 1000).",
    "top": "how many classes are listed for each image.",
}
documented = described(ARGUMENTS)


@guarded
@documented
def preprocess_input(x: TensorLike, data_format: str | None = None, mode: str = "caffe") -> Prepared:
    """Return images as a network was trained on them, as floats.

    Args:
        mode: ``"caffe"``: blue, green, red, minus their means over ImageNet; ``"tf"``: from -1 to 1; ``"torch"``: from 0 to 1,
            then minus the means over ImageNet and divided by the deviations.

    Example:
        >>> import numpy as np
        >>> preprocess_input(np.full((1, 1, 3), 255), mode="tf").tolist()
        [[[1.0, 1.0, 1.0]]]
    """
    layout = config.check_data_format(data_format)
    if mode not in ("caffe", "tf", "torch"):
        raise ArgumentError("mode must be 'caffe', 'tf' or 'torch'.", got=shown(mode))
    arrays = is_from(type(x), "numpy") or isinstance(x, (list, tuple))
    if arrays:
        import numpy as np

        images: Prepared = np.asarray(x)
        images = images if images.dtype.kind == "f" else images.astype(config.floatx())
    else:
        images = x if "float" in str(ops.dtype(x)) else ops.cast(x, config.floatx())
    if mode == "tf":
        return images / 127.5 - 1.0
    rank = len(images.shape)
    axis = rank - 1 if layout == "channels_last" else rank - 3
    shape = [3 if each == axis else 1 for each in range(rank)]
    # functions of ops take a tensor that is on another device than the means
    subtract, divide = (operator.sub, operator.truediv) if arrays else (ops.subtract, ops.divide)
    if mode == "torch":
        return divide(
            subtract(images / 255.0, _row(MEANS[mode], shape, images, arrays)), _row(DEVIATIONS, shape, images, arrays)
        )
    flipped = np.flip(images, axis) if arrays else ops.flip(images, axis)
    return subtract(flipped, _row(MEANS[mode], shape, images, arrays))


def _row(values: tuple[float, ...], shape: list[int], like: Prepared, arrays: bool) -> Prepared:
    """Return values along the axis of channels, as what they are combined with."""
    import numpy as np

    if arrays:
        return np.asarray(values, like.dtype).reshape(shape)
    return ops.reshape(ops.convert_to_tensor(values, dtype=ops.dtype(like)), shape)


@checked
@documented
def decode_predictions(preds: TensorLike, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the likeliest classes of each image: WordNet's id, name and probability.

    Raises:
        DownloadError: the list of names is neither in the folder ``models`` nor to be had.

    Example:
        >>> import numpy as np
        >>> decode_predictions(np.eye(1000)[:1], top=1)  # doctest: +SKIP
        [[('n01440764', 'tench', 1.0)]]
    """
    array = ops.convert_to_numpy(preds)
    if array.ndim != 2 or array.shape[1] != 1000:
        raise DataError("Expected predictions (B, 1000).", got=f"shape {array.shape}")
    if not 1 <= top <= 1000:
        raise ArgumentError("top must be between 1 and 1000.", got=shown(top))
    names = _names()
    found = []
    for row in array:
        order = row.argsort()[-top:][::-1]
        found.append([(*names[str(index)], row[index]) for index in order])
    return found


@functools.cache
def _names() -> dict[str, tuple[str, str]]:
    import json

    with open(file_of(CLASSES), encoding="utf-8") as file:
        return {index: (pair[0], pair[1]) for index, pair in json.load(file).items()}


_WORDS: dict[str | None, tuple[str, float]] = {
    "caffe": ("as blue, green, red, minus their means over ImageNet, as floats", 151.06),
    "tf": ("with values from -1 to 1, as floats", 1.0),
    "torch": ("with values from 0 to 1, minus the means over ImageNet and divided by the deviations, as floats", 2.25),
    None: ("as they are, with values from 0 to 255, which the network scales itself", 255.0),
}


def preparation(mode: str | None) -> Callable[..., Any]:
    """Return the ``preprocess_input`` of one family; without a mode it returns what it is given."""

    def prepare(x: TensorLike, data_format: str | None = None) -> Prepared:
        if mode is not None:
            return preprocess_input(x, data_format, mode)
        config.check_data_format(data_format)
        return x

    words, white = _WORDS[mode]
    example = [
        ">>> import numpy as np", ">>> x = preprocess_input(np.full((1, 1, 3), 255))", ">>> print(round(float(x[0, 0, 0]), 2))",
    ]  # fmt: skip
    prepare.__name__ = prepare.__qualname__ = "preprocess_input"
    prepare.__doc__ = "\n    ".join([f"Return images {words}.\n\nExample:", *example, str(white)])
    return checked(documented(prepare))
