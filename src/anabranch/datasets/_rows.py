"""Rows of a data set in the order of a seed: texts as lists of integers, and tables of numbers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from anabranch._errors import ArgumentError, FileFormatError
from anabranch._files import reached
from anabranch.datasets._fetch import Remote, file_stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Split = tuple[tuple[Array, Array], tuple[Array, Array]]


class Words(NamedTuple):
    """Which words are shown, and as which integers."""

    num_words: int | None
    skip_top: int
    maxlen: int | None
    start_char: int | None
    oov_char: int | None
    index_from: int


def stored(path: str, source: Remote) -> Path:
    """Return the checked file of a data set: ``path`` names its folder in the data folder, or a file that is there."""
    given = Path(path)
    if given.is_absolute():
        return given
    return file_stored(source._replace(folder=str(given.parent)) if given.parent.name else source)


def orders(seed: int, *counts: int) -> list[Array]:
    """Return the orders of parts of so many samples, as Keras shuffles them."""
    import numpy as np

    rng, found = np.random.RandomState(seed), [np.arange(count) for count in counts]
    for rows in found:
        rng.shuffle(rows)
    return found


def table(x: Array, y: Array, test_split: float, seed: int) -> Split:
    """Return the two parts of a table in the order of the seed."""
    if not 0 <= test_split < 1:
        raise ArgumentError("test_split must be a number from 0 to below 1.", got=str(test_split))
    (rows,) = orders(seed, len(x))
    cut = int(len(x) * (1 - test_split))
    x, y = x[rows], y[rows]
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


class Texts:
    """Texts of one part after another, their words in one array."""

    def __init__(self, rows: Sequence[Sequence[int]], labels: Array) -> None:
        import numpy as np

        self.sizes = np.fromiter(map(len, rows), "int64", len(rows))
        self.flat = np.fromiter(itertools.chain.from_iterable(rows), "int64", int(self.sizes.sum()))
        self.labels = labels

    def keep(self, chosen: Array) -> None:
        """Leave these words out of all others: a boolean for each."""
        import numpy as np

        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.sizes = np.bincount(owners[chosen], minlength=len(self.sizes))
        self.flat = self.flat[chosen]

    def begin_with(self, word: int) -> None:
        """Put a word before each text."""
        import numpy as np

        starts = np.cumsum(self.sizes) - self.sizes
        self.flat, self.sizes = np.insert(self.flat, starts, word), self.sizes + 1

    def shown(self, words: Words, limit: int) -> tuple[Array, Array]:
        """Return the texts as an array of lists, of integers from ``skip_top`` to below ``limit``, and the labels."""
        import numpy as np

        known = (self.flat >= words.skip_top) & (self.flat < limit)
        if words.oov_char is None:
            self.keep(known)
        else:
            self.flat[~known] = words.oov_char
        flat, ends = self.flat.tolist(), np.cumsum(self.sizes).tolist()
        found = np.empty(len(ends), object)
        for row, (end, size) in enumerate(zip(ends, self.sizes.tolist(), strict=True)):
            found[row] = flat[end - size : end]
        return found, self.labels


def prepared(rows: Sequence[Sequence[int]], labels: Array, words: Words, seed: Array) -> Texts:
    """Return texts in an order, shifted by ``index_from``, each begun with ``start_char``, without those that are too long."""
    import numpy as np

    found = Texts([rows[row] for row in seed], labels[seed])
    if words.start_char is not None or words.index_from:
        found.flat = found.flat + words.index_from
    if words.start_char is not None:
        found.begin_with(words.start_char)
    if words.maxlen:
        short = found.sizes < words.maxlen
        found.flat, found.sizes, found.labels = (
            found.flat[np.repeat(short, found.sizes)],
            found.sizes[short],
            found.labels[short],
        )
        if not len(found.sizes):
            raise ArgumentError("No text is shorter than maxlen.", got=f"maxlen={words.maxlen}", repair="a greater maxlen")
    return found


def limit_of(words: Words, parts: Sequence[Texts]) -> int:
    """Return below which integer words are shown: num_words, or the greatest that there is."""
    return words.num_words or max(int(part.flat.max(initial=0)) for part in parts)


def word_index(path: Path) -> dict[str, int]:
    """Return the integer of each word, from a JSON file."""
    with reached("read", path):
        data = path.read_bytes()
    try:
        found = json.loads(data)
    except ValueError as error:
        raise FileFormatError(f"{path} is no JSON.", got=str(error), repair="delete it and run again") from error
    if not isinstance(found, dict) or not all(isinstance(index, int) for index in found.values()):
        raise FileFormatError(f"{path} has other things than integers of words.", repair="delete it and run again")
    return found
