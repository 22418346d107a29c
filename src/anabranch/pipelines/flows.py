"""Batches of augmented images, as ``ImageDataGenerator`` gives them: of arrays, of files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from anabranch import _images
from anabranch._errors import DataError
from anabranch._frames import bound_methods
from anabranch.training.data.py_dataset import PyDataset

Array = np.ndarray[Any, np.dtype[Any]]
Source: TypeAlias = Any
"""What is drawn from: ``numpy.random``, or a ``RandomState``."""
Option: TypeAlias = Any
Labels: TypeAlias = Any
"""Class indices, lists of them, or columns of values."""
Batch: TypeAlias = Any
"""Images, or a tuple of these, targets and weights."""


class Augmenting(Protocol):
    """What changes images: an ``ImageDataGenerator``."""

    data_format: str
    dtype: str

    def augmented(self, x: Array, source: Source) -> Array:
        """Return an image, changed by what is drawn from ``source``."""

    def standardize(self, x: Array) -> Array:
        """Return an image, scaled and centered."""


@bound_methods
class Flow(PyDataset):
    """Batches of augmented images without end, also by index. Abstract.

    Args:
        generator: what augments them.
        n: how many images there are.
        batch_size: images per batch.
        shuffle: whether they are shuffled, in each pass anew.
        seed: the seed of order and augmentation; NumPy's global generator is drawn from unless given.
        save: the folder that augmented images are saved to, or None, a prefix of their names, and their format.
    """

    def __init__(
        self, generator: Augmenting, n: int, batch_size: int, shuffle: bool, seed: int | None,
        save: tuple[str | None, str, str] = (None, "", "png"),
    ) -> None:  # fmt: skip
        super().__init__()
        if n < 1:
            raise DataError("There are no images.", got=f"{n} images")
        self.image_data_generator, self.n, self.batch_size, self.shuffle, self.seed = generator, n, batch_size, shuffle, seed
        self.samples = n
        self.batch_index = self.total_batches_seen = 0
        self.index_array: Array | None = None
        self._save = save
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: all but the lock."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def reset(self) -> None:
        """Begin the next pass of ``next`` with the first batch."""
        self.batch_index = 0

    def on_epoch_end(self) -> None:
        """Draw a new order."""
        self._draw_order(self._source())

    def __len__(self) -> int:
        """Return how many batches a pass has."""
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return one batch of the current order."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches; got index {index}.")
        with self._lock:
            source = self._source()
            self.total_batches_seen += 1
            if self.index_array is None:
                self._draw_order(source)
            order = self.index_array if self.index_array is not None else np.arange(self.n)
        return self._batch(order[index * self.batch_size : (index + 1) * self.batch_size], source)

    def __iter__(self) -> Iterator[Any]:
        """Return this object: its batches have no end."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch; after the last of a pass, a new order begins."""
        with self._lock:
            source = self._source()
            if self.batch_index == 0:
                self._draw_order(source)
            start = self.batch_index * self.batch_size
            self.batch_index = 0 if start + self.batch_size >= self.n else self.batch_index + 1
            self.total_batches_seen += 1
            order = self.index_array if self.index_array is not None else np.arange(self.n)
        return self._batch(order[start : start + self.batch_size], source)

    def next(self) -> Batch:
        """Return the next batch."""
        return next(self)

    def _source(self) -> Source:
        """Return what the next batch draws from."""
        return np.random if self.seed is None else np.random.RandomState((int(self.seed) + self.total_batches_seen) % 2**32)

    def _draw_order(self, source: Source) -> None:
        self.index_array = source.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _batch(self, rows: Array, source: Source) -> Batch:
        images = np.stack([self._augmented(self._image(int(row)), source) for row in rows])
        folder, prefix, kind = self._save
        if folder:
            for row, image in zip(rows, images, strict=True):
                name = f"{prefix}_{row}_{self.total_batches_seen}.{kind}"
                _images.save_img(Path(folder) / name, image, self.image_data_generator.data_format, kind)
        return self._with_targets(images, rows)

    def _augmented(self, image: Array, source: Source) -> Array:
        generator = self.image_data_generator
        found: Array = generator.standardize(generator.augmented(image, source))
        return found

    def _image(self, row: int) -> Array:
        raise NotImplementedError

    def _with_targets(self, images: Array, rows: Array) -> Batch:
        raise NotImplementedError


class NumpyArrayIterator(Flow):
    """Batches of images in memory."""

    def __init__(self, x: Array, y: Array | None, weights: Array | None, extra: Sequence[Array], **options: Option) -> None:
        super().__init__(n=len(x), **options)
        self.x, self.y, self.sample_weight, self._extra = x, y, weights, extra

    def _image(self, row: int) -> Array:
        found: Array = self.x[row].astype(self.image_data_generator.dtype)
        return found

    def _with_targets(self, images: Array, rows: Array) -> Batch:
        first: Batch = [images, *(each[rows] for each in self._extra)] if self._extra else images
        if self.y is None:
            return first
        if self.sample_weight is None:
            return first, self.y[rows]
        return first, self.y[rows], self.sample_weight[rows]


class FileIterator(Flow):
    """Batches of images in files, with ``class_indices``, ``classes``, ``filenames``."""

    def __init__(
        self, paths: list[str], names: list[str], labels: Labels, class_indices: dict[str, int], class_mode: str | None,
        reading: dict[str, Option], weights: Array | None = None, **options: Option,
    ) -> None:  # fmt: skip
        super().__init__(n=len(paths), **options)
        self.filepaths, self.filenames, self.class_mode = paths, names, class_mode
        self.class_indices, self.num_classes = class_indices, len(class_indices)
        self.classes = self.labels = labels
        self.sample_weight = weights
        self.target_size, self.color_mode = reading["target_size"], reading["color_mode"]
        channels = {"grayscale": 1, "rgb": 3, "rgba": 4}[self.color_mode]
        first = self.image_data_generator.data_format == "channels_first"
        self.image_shape = (channels, *self.target_size) if first else (*self.target_size, channels)
        self._reading = reading

    def _image(self, row: int) -> Array:
        generator = self.image_data_generator
        return _images.img_to_array(
            _images.load_img(self.filepaths[row], **self._reading), generator.data_format, generator.dtype
        )

    def _with_targets(self, images: Array, rows: Array) -> Batch:
        if self.class_mode is None:
            return images
        parts = [images, self._targets(images, rows)]
        if self.sample_weight is not None:
            parts.append(self.sample_weight[rows])
        return tuple(parts)

    def _targets(self, images: Array, rows: Array) -> Batch:
        kind = self.image_data_generator.dtype
        if self.class_mode == "input":
            return images.copy()
        if self.class_mode == "multi_output":
            return tuple(column[rows] for column in self.labels)
        if self.class_mode == "raw":
            return self.labels[rows]
        if self.class_mode == "categorical":
            found = np.zeros((len(rows), self.num_classes), kind)
            for place, row in enumerate(rows):
                found[place, self.labels[row]] = 1
            return found
        return np.asarray(self.labels)[rows].astype(kind)
