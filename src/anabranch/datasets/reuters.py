"""Reuters: 11,228 newswires in 46 topics, as lists of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch._arguments import checked
from anabranch._errors import ArgumentError
from anabranch._frames import bounded
from anabranch.datasets._fetch import Remote, loader
from anabranch.datasets._npz import read
from anabranch.datasets._rows import Words, limit_of, orders, prepared, stored, word_index
from anabranch.datasets.sources import REUTERS, REUTERS_WORDS

if TYPE_CHECKING:
    from anabranch.datasets._rows import Split


TOPICS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar", "trade",
    "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp", "meal-feed", "alum",
    "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs",
    "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


@checked
@loader((8982,))
def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    *,
    source: Remote = REUTERS,
) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: texts as arrays of lists, and the indices of their topics.

    An integer is a word's rank by frequency and ``index_from``; 1 begins a text, 2 is a word that is not shown.

    Args:
        path: its folder in the data folder, as ``folder/reuters.npz``; or a file, from the root on.
        num_words: below which integer words are shown; None: all but the greatest.
        skip_top: from which integer on words are shown.
        maxlen: texts of this length and longer are left out; None: none is.
        test_split: the fraction of the second part.
        seed: of the order.
        start_char: the integer that each text begins with; None: none.
        oov_char: the integer of words that are not shown; None: they are left out.
        index_from: is added to all words.
        source: where the official file comes from, and its sha256.
    """
    if not 0 <= test_split < 1:
        raise ArgumentError("test_split must be a number from 0 to below 1.", got=str(test_split))
    x, y = read(stored(path, source), ("x", "y"))
    words = Words(num_words, skip_top, maxlen, start_char, oov_char, index_from)
    whole = prepared(x, y, words, orders(seed, len(x))[0])
    texts, topics = whole.shown(words, limit_of(words, [whole]))
    cut = int(len(texts) * (1 - test_split))
    return (texts[:cut], topics[:cut]), (texts[cut:], topics[cut:])


@bounded
def get_word_index(path: str = "reuters_word_index.json", *, source: Remote = REUTERS_WORDS) -> dict[str, int]:
    """Return the rank of each word, to which ``load_data`` adds ``index_from``.

    Args:
        path: its folder in the data folder, or a file, from the root on.
        source: where the official file comes from, and its md5.

    Example:
        >>> from anabranch.datasets import reuters
        >>> reuters.get_word_index()["the"]  # doctest: +SKIP
        1
    """
    return word_index(stored(path, source))


def get_label_names() -> tuple[str, ...]:
    """Return the names of the topics, in the order of their indices.

    Example:
        >>> get_label_names()[:3]
        ('cocoa', 'grain', 'veg-oil')
    """
    return TOPICS


__all__ = ["get_label_names", "get_word_index", "load_data"]
__dir__ = __all__.copy
