"""Small data under the names of Keras's data sets, for scripts that load them: noise with the right shapes and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TRAIN, TEST = 48, 32


def _images(shape: tuple[int, ...], classes: int, column: bool) -> Callable[..., Any]:
    def load_data(*_: object, **__: object) -> Any:
        rng = np.random.default_rng(0)
        parts = []
        for size in (TRAIN, TEST):
            labels = rng.integers(0, classes, (size, 1) if column else size).astype("uint8")
            images = rng.integers(0, 160, (size, *shape)) + 8 * labels.reshape(-1, *[1] * len(shape))
            parts.append((images.astype("uint8"), labels))
        return tuple(parts)

    return load_data


def _texts(words: int, classes: int) -> Callable[..., Any]:
    def load_data(*_: object, num_words: int | None = None, maxlen: int | None = None, **__: object) -> Any:
        rng = np.random.default_rng(0)
        parts = []
        for size in (TRAIN, TEST):
            labels = rng.integers(0, classes, size)
            texts = np.empty(size, dtype=object)
            for number in range(size):
                texts[number] = [1, *rng.integers(2, min(words, num_words or words), rng.integers(5, 30)).tolist()]
            parts.append((texts, labels))
        return tuple(parts)

    return load_data


def _table(columns: int, scale: float) -> Callable[..., Any]:
    def load_data(*_: object, **__: object) -> Any:
        rng = np.random.default_rng(0)
        return tuple((rng.normal(0, scale, (size, columns)), rng.uniform(5, 50, size)) for size in (TRAIN, TEST))

    return load_data


SETS = {
    "mnist": _images((28, 28), 10, column=False),
    "fashion_mnist": _images((28, 28), 10, column=False),
    "cifar10": _images((32, 32, 3), 10, column=True),
    "cifar100": _images((32, 32, 3), 100, column=True),
    "imdb": _texts(20_000, 2),
    "reuters": _texts(20_000, 46),
    "boston_housing": _table(13, 3.0),
    "california_housing": _table(8, 3.0),
}
