"""Keras 2's helpers for sequences: padding, windows of time series, pairs of words for skip-grams."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch._arguments import Count, NotNegative, Positive, Several, guarded, guarded_methods
from anabranch._errors import ArgumentError, DataError, OutOfRangeError
from anabranch.pipelines.padding import pad_sequences
from anabranch.training.data.py_dataset import PyDataset

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"


_MOST_PAIRS = 2**31


@guarded_methods
class TimeseriesGenerator(PyDataset):
    """Batches of windows of a time series, each with the target of the step behind it.

    Args:
        data: the series, (T, …).
        targets: the target of each step, (T, …).
        length: how many steps a window covers.
        sampling_rate: the distance of the steps of a window that are taken.
        stride: the distance of the beginnings of windows.
        start_index: the first step that is used.
        end_index: the last step that is used; None: the series' last.
        shuffle: whether windows are drawn at random.
        reverse: whether the steps of a window are reversed.
        batch_size: how many windows a batch has.

    Example:
        >>> import numpy as np
        >>> batches = TimeseriesGenerator(np.arange(6), np.arange(6) * 10, length=3, batch_size=2)
        >>> x, y = batches[0]
        >>> len(batches), x.tolist(), y.tolist()
        (2, [[0, 1, 2], [1, 2, 3]], [30, 40])
    """

    def __init__(
        self,
        data: Sequence[object] | Array,
        targets: Sequence[object] | Array,
        length: Several,
        sampling_rate: Several = 1,
        stride: Several = 1,
        start_index: Count = 0,
        end_index: Count | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: Several = 128,
    ) -> None:
        super().__init__()
        import numpy as np

        self.data, self.targets = np.asarray(data), np.asarray(targets)
        if len(self.data) != len(self.targets):
            raise DataError("data and targets have different lengths.", got=f"{len(self.data)} and {len(self.targets)}")
        self.length, self.sampling_rate, self.stride, self.batch_size = length, sampling_rate, stride, batch_size
        self.start_index, self.shuffle, self.reverse = start_index + length, shuffle, reverse
        self.end_index = len(self.data) - 1 if end_index is None else end_index
        if self.start_index > self.end_index:
            raise ArgumentError(
                "There is no window.", expected="start_index + length ≤ end_index",
                got=f"start_index + length = {self.start_index}, end_index = {self.end_index}",
            )  # fmt: skip

    def __len__(self) -> int:
        return (self.end_index - self.start_index + self.batch_size * self.stride) // (self.batch_size * self.stride)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        import numpy as np

        if not 0 <= index < len(self):
            raise OutOfRangeError("There is no such batch.", expected=f"0 … {len(self) - 1}", got=str(index))
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        windows = rows[:, None] + np.arange(-self.length, 0, self.sampling_rate)
        if self.reverse:
            windows = windows[:, ::-1]
        return self.data[windows], self.targets[rows]

    def get_config(self) -> dict[str, Any]:
        """Return the settings, with the data as lists.

        Example:
            >>> TimeseriesGenerator([1, 2, 3], [1, 2, 3], 1).get_config()["length"]
            1
        """
        names = ("length", "sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size")
        data = {"data": self.data.tolist(), "targets": self.targets.tolist()}
        return {**data, **{name: vars(self)[name] for name in names}, "start_index": self.start_index - self.length}


@guarded
def make_sampling_table(size: Count, sampling_factor: Positive = 1e-5) -> Array:
    """Return for each rank of a word with what probability it is taken, p = min(1, sqrt(f / t) · t / f), as word2vec does.

    The frequency f of the word of a rank follows from Zipf's law; t is ``sampling_factor`` (Mikolov et al. 2013, §2.3).

    Args:
        size: how many words there are.
        sampling_factor: t.

    Example:
        >>> make_sampling_table(4).round(5).tolist()
        [0.00315, 0.00315, 0.00548, 0.00742]
    """
    import numpy as np

    rank = np.arange(size, dtype="float64")
    rank[:1] = 1
    inverse = rank * (np.log(rank) + 0.577) + 0.5 - 1.0 / (12.0 * rank)
    f = sampling_factor * inverse
    return np.minimum(1.0, f / np.sqrt(f))


@guarded
def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: Several,
    window_size: Count = 4,
    negative_samples: NotNegative = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Sequence[float] | Array | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Return pairs of words of a text that are near each other, labeled 1, and pairs of a word and a random one, labeled 0.

    Args:
        sequence: the words as integers; 0 is none.
        vocabulary_size: one more than the greatest integer.
        window_size: how far apart near words may be.
        negative_samples: how many random pairs there are for each near one; 0: none.
        shuffle: whether the order is random.
        categorical: whether labels are [0, 1] and [1, 0].
        sampling_table: the probability with which each integer is taken, of :func:`make_sampling_table`; None: all are.
        seed: of the order.

    Example:
        >>> pairs, labels = skipgrams([1, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False)
        >>> pairs
        [[1, 2], [2, 1], [2, 3], [3, 2]]
    """
    pairs: list[list[int]] = []
    for at, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        near = range(max(0, at - window_size), min(len(sequence), at + window_size + 1))
        pairs += [[word, sequence[other]] for other in near if other != at and sequence[other]]
    labels: list[Any] = [[0, 1] if categorical else 1] * len(pairs)
    if negative_samples > 0 and pairs:
        count = int(len(labels) * negative_samples)
        if count > _MOST_PAIRS:
            raise ArgumentError("negative_samples asks for too many pairs.", expected=f"at most {_MOST_PAIRS}", got=str(count))
        words = [pair[0] for pair in pairs]
        random.shuffle(words)
        pairs += [[words[number % len(words)], random.randint(1, vocabulary_size - 1)] for number in range(count)]
        labels += [[1, 0] if categorical else 0] * count
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else int(seed)
        for items in (pairs, labels):
            random.seed(seed)
            random.shuffle(items)
    return pairs, labels


__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]
__dir__ = __all__.copy
