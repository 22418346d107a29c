"""IMDB: 50,000 reviews of films, positive or negative, as lists of integers (Maas et al. 2011)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._arguments import checked
from anabranch._errors import ArgumentTypeError
from anabranch._frames import bounded
from anabranch.datasets._fetch import Remote, loader
from anabranch.datasets._npz import read
from anabranch.datasets._rows import Words, limit_of, orders, prepared, stored, word_index
from anabranch.datasets.sources import IMDB, IMDB_WORDS

if TYPE_CHECKING:
    from anabranch.datasets._rows import Split


@checked
@loader((25000,))
def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    *,
    source: Remote = IMDB,
    **kwargs: int | None,
) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 25,000 texts each, as arrays of lists, and labels of 0 or 1.

    An integer is a word's rank by frequency and ``index_from``; 1 begins a text, 2 is a word that is not shown.

    Args:
        path: its folder in the data folder, as ``folder/imdb.npz``; or a file, from the root on.
        num_words: below which integer words are shown; None: all but the greatest.
        skip_top: from which integer on words are shown.
        maxlen: texts of this length and longer are left out; None: none is.
        seed: of the order.
        start_char: the integer that each text begins with; None: none.
        oov_char: the integer of words that are not shown; None: they are left out.
        index_from: is added to all words.
        source: where the official file comes from, and its sha256.
        kwargs: ``nb_words``, Keras 1's name of ``num_words``.
    """
    if "nb_words" in kwargs:
        num_words = kwargs.pop("nb_words")
    if kwargs:
        raise ArgumentTypeError(f"load_data takes no argument {next(iter(kwargs))!r}.")
    x_train, y_train, x_test, y_test = read(stored(path, source), ("x_train", "y_train", "x_test", "y_test"))
    words = Words(num_words, skip_top, maxlen, start_char, oov_char, index_from)
    first, second = orders(seed, len(x_train), len(x_test))
    parts = prepared(x_train, y_train, words, first), prepared(x_test, y_test, words, second)
    limit = limit_of(words, parts)
    return parts[0].shown(words, limit), parts[1].shown(words, limit)


@bounded
def get_word_index(path: str = "imdb_word_index.json", *, source: Remote = IMDB_WORDS) -> dict[str, int]:
    """Return the rank of each word, to which ``load_data`` adds ``index_from``.

    Args:
        path: its folder in the data folder, or a file, from the root on.
        source: where the official file comes from, and its md5.

    Example:
        >>> from anabranch.datasets import imdb
        >>> imdb.get_word_index()["the"]  # doctest: +SKIP
        1
    """
    return word_index(stored(path, source))


__all__ = ["get_word_index", "load_data"]
__dir__ = __all__.copy
