"""Keras 2's tokenizer of texts, and what it is made of; today's word is ``layers.TextVectorization``."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

from anabranch._arguments import Count, Several, guarded, guarded_methods
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, FileFormatError, NotReadyError, unknown

if TYPE_CHECKING:
    import numpy as np

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "freq", "tfidf")
_COUNTS = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")  # that configs hold, each as JSON text


@guarded
def text_to_word_sequence(input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """Return the words of a text.

    Args:
        input_text: the text.
        filters: signs that are no part of words.
        lower: whether letters become lower case.
        split: what words are separated by.

    Example:
        >>> text_to_word_sequence("The cat, the dog!")
        ['the', 'cat', 'the', 'dog']
    """
    text = input_text.lower() if lower else input_text
    return [word for word in text.translate(dict.fromkeys(map(ord, filters), split)).split(split) if word]


@guarded
def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[str], int] | str | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], Iterable[str]] | None = None,
) -> list[int]:
    """Return the words of a text as integers from 1 to n - 1 by their hash; words may share one.

    Args:
        text: the text.
        n: one more than the greatest integer.
        hash_function: a function, ``"md5"``, or None: Python's ``hash``, which differs from process to process.
        filters: signs that are no part of words.
        lower: whether letters become lower case.
        split: what words are separated by.
        analyzer: splits a text in the place of all that.

    Example:
        >>> hashing_trick("the cat the", 100, "md5")
        [51, 3, 51]
    """
    if n < 2:
        raise ArgumentError("n must be an integer ≥ 2.", got=str(n))
    if isinstance(hash_function, str) and hash_function != "md5":
        raise unknown("hash_function", hash_function, ("md5",))
    by = _md5 if hash_function == "md5" else hash if hash_function is None else hash_function
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [by(word) % (n - 1) + 1 for word in words]  # type: ignore[operator]  # a function


def _md5(word: str) -> int:
    import hashlib

    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


@guarded
def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], Iterable[str]] | None = None,
) -> list[int]:
    """Return the words of a text as integers by Python's ``hash``, which differs from process to process.

    Args:
        input_text: the text.
        n: one more than the greatest integer.
        filters: signs that are no part of words.
        lower: whether letters become lower case.
        split: what words are separated by.
        analyzer: splits a text in the place of all that.

    Example:
        >>> a, b, again = one_hot("the cat the", 1000)
        >>> a == again, 0 < a < 1000
        (True, True)
    """
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


@guarded_methods
class Tokenizer:
    """Turns texts into lists of integers, or into vectors, by the words of the texts that it was fitted to.

    Args:
        num_words: of how many integers, with 0, only the commonest words have one; None: all have.
        filters: signs that are no part of words.
        lower: whether letters become lower case.
        split: what words are separated by.
        char_level: whether each sign is a word.
        oov_token: the word of integer 1, which is used for words without one; None: these are left out.
        analyzer: a function that splits a text in the place of all that.
        document_count: how many texts were seen before.

    Example:
        >>> tokenizer = Tokenizer(num_words=3)
        >>> tokenizer.fit_on_texts(["the cat sat", "the dog", "the cat"])
        >>> tokenizer.word_index
        {'the': 1, 'cat': 2, 'sat': 3, 'dog': 4}
        >>> tokenizer.texts_to_sequences(["The cat sat."])
        [[1, 2]]
    """

    def __init__(
        self,
        num_words: Several | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Callable[[str], Iterable[str]] | None = None,
        document_count: Count = 0,
    ) -> None:
        if not split:
            raise ArgumentError(
                "split of Tokenizer must be a string with a sign.", got="''", repair="char_level=True splits signs"
            )
        self.num_words, self.filters, self.lower, self.split = num_words, filters, bool(lower), split
        self.char_level, self.oov_token, self.analyzer = bool(char_level), oov_token, analyzer
        self.document_count = document_count
        self.word_counts: collections.OrderedDict[str, int] = collections.OrderedDict()
        self.word_docs: collections.defaultdict[str, int] = collections.defaultdict(int)
        self.index_docs: collections.defaultdict[int, int] = collections.defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: str | Sequence[str]) -> Sequence[str]:
        if isinstance(text, (list, tuple)) and not all(isinstance(word, str) for word in text):
            raise ArgumentTypeError("A text must be a string, or a list of words.", got=shown(text))
        if self.char_level or isinstance(text, (list, tuple)):
            if not self.lower:
                return text
            return text.lower() if isinstance(text, str) else [word.lower() for word in text]
        if not isinstance(text, str):
            raise ArgumentTypeError("A text must be a string, or a list of words.", got=shown(text))
        if self.analyzer is not None:
            return list(self.analyzer(text))
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Count the words of texts, and number them from the commonest.

        Args:
            texts: strings, or lists of words.

        Example:
            >>> tokenizer = Tokenizer(oov_token="?")
            >>> tokenizer.fit_on_texts(["b a b"])
            >>> tokenizer.word_index
            {'?': 1, 'b': 2, 'a': 3}
        """
        for text in texts:
            words = self._words(text)
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ordered = sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)
        known = ordered if self.oov_token is None else [self.oov_token, *ordered]
        self.word_index = {word: index for index, word in enumerate(known, 1)}
        self.index_word = {index: word for word, index in self.word_index.items()}
        self.index_docs.update({self.word_index[word]: count for word, count in self.word_docs.items()})

    def fit_on_sequences(self, sequences: Iterable[Sequence[int]]) -> None:
        """Count in how many sequences each integer is, for ``sequences_to_matrix(mode="tfidf")`` without texts.

        Args:
            sequences: lists of integers.

        Example:
            >>> tokenizer = Tokenizer(num_words=5)
            >>> tokenizer.fit_on_sequences([[1, 2, 2]])
            >>> tokenizer.document_count, dict(tokenizer.index_docs)
            (1, {1: 1, 2: 1})
        """
        for sequence in sequences:
            self.document_count += 1
            for index in set(_indices(sequence)):
                self.index_docs[index] += 1

    def texts_to_sequences(self, texts: Iterable[str | Sequence[str]]) -> list[list[int]]:
        """Return texts as lists of integers.

        Args:
            texts: strings, or lists of words.

        Example:
            >>> tokenizer = Tokenizer(oov_token="?")
            >>> tokenizer.fit_on_texts(["a cat"])
            >>> tokenizer.texts_to_sequences(["a dog"])
            [[2, 1]]
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str | Sequence[str]]) -> Iterator[list[int]]:
        """Yield texts as lists of integers.

        Args:
            texts: strings, or lists of words.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a cat"])
            >>> next(tokenizer.texts_to_sequences_generator(["cat"]))
            [2]
        """
        outside = None if self.oov_token is None else self.word_index.get(self.oov_token)
        limit = self.num_words
        for text in texts:
            found = (self.word_index.get(word) for word in self._words(text))
            numbers = (outside if index is None or (limit and index >= limit) else index for index in found)
            yield [index for index in numbers if index is not None]

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Return lists of integers as texts, their words joined by spaces.

        Args:
            sequences: lists of integers.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a cat"])
            >>> tokenizer.sequences_to_texts([[2, 1]])
            ['cat a']
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Sequence[int]]) -> Iterator[str]:
        """Yield lists of integers as texts.

        Args:
            sequences: lists of integers.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a cat"])
            >>> next(tokenizer.sequences_to_texts_generator([[2]]))
            'cat'
        """
        outside = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for sequence in sequences:
            words = []
            for index in _indices(sequence):
                word = self.index_word.get(index)
                if word is None or (self.num_words and index >= self.num_words):
                    word = None if outside is None else self.index_word[outside]
                if word is not None:
                    words.append(word)
            yield " ".join(words)

    def texts_to_matrix(self, texts: Iterable[str | Sequence[str]], mode: str = "binary") -> np.ndarray[Any, Any]:
        """Return texts as vectors, (B, num_words).

        Args:
            texts: strings, or lists of words.
            mode: ``"binary"``, ``"count"``, ``"freq"`` (of the text's words) or ``"tfidf"``.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a cat"])
            >>> tokenizer.texts_to_matrix(["a a"], "count").tolist()
            [[0.0, 2.0, 0.0]]
        """
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Iterable[Sequence[int]], mode: str = "binary") -> np.ndarray[Any, Any]:
        """Return lists of integers as vectors, (B, num_words).

        Args:
            sequences: lists of integers.
            mode: ``"binary"``, ``"count"``, ``"freq"`` (of the list's integers) or ``"tfidf"``.

        Example:
            >>> Tokenizer(num_words=4).sequences_to_matrix([[1, 3, 3]], "freq").round(2).tolist()
            [[0.0, 0.33, 0.0, 0.67]]
        """
        import numpy as np

        if mode not in MODES:
            raise unknown("mode", mode, MODES, of="Tokenizer")
        size = self.num_words or (len(self.word_index) + 1 if self.word_index else 0)
        if not size or (mode == "tfidf" and not self.document_count):
            raise NotReadyError("The tokenizer has seen no texts.", repair="tokenizer.fit_on_texts(texts), or num_words=")
        rows = [[index for index in _indices(sequence) if index < size] for sequence in sequences]
        found = (
            np.stack([np.bincount(np.asarray(row, "int64"), minlength=size) for row in rows]) if rows else np.zeros((0, size))
        )
        counts = found.astype("float64")
        if mode == "binary":
            counts = np.minimum(counts, 1)
        elif mode == "freq":
            counts = counts / np.maximum([[len(row)] for row in rows], 1)
        elif mode == "tfidf":
            documents = np.array([self.index_docs.get(index, 0) for index in range(size)])
            weights = np.log(1 + self.document_count / (1 + documents))
            counts = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * weights
        return counts

    def get_config(self) -> dict[str, Any]:
        """Return the settings and what was counted, in Keras 2's form.

        Example:
            >>> Tokenizer(num_words=9).get_config()["num_words"]
            9
        """
        settings = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        return {
            **{name: getattr(self, name) for name in settings},
            **{name: json.dumps(getattr(self, name)) for name in _COUNTS},
        }

    def to_json(self, **kwargs: Any) -> str:
        """Return the tokenizer as JSON, which :func:`tokenizer_from_json` reads.

        Args:
            kwargs: of ``json.dumps``.

        Example:
            >>> tokenizer_from_json(Tokenizer(num_words=9).to_json()).num_words
            9
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def _indices(sequence: object) -> list[int]:
    found = list(sequence) if isinstance(sequence, Iterable) and not isinstance(sequence, (str, bytes)) else []
    if (not found and not isinstance(sequence, Sized)) or not all(map(is_integer, found)) or isinstance(sequence, (str, bytes)):
        raise ArgumentTypeError("A sequence must be a list of integers.", got=shown(sequence))
    return found


@guarded
def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Return the tokenizer that ``to_json`` of it, or of Keras 2's, wrote.

    Args:
        json_string: the JSON.

    Raises:
        FileFormatError: it is no JSON of a tokenizer.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["a cat"])
        >>> tokenizer_from_json(tokenizer.to_json()).word_index
        {'a': 1, 'cat': 2}
    """
    try:
        config = dict(json.loads(json_string)["config"])
        counts = {name: json.loads(config.pop(name)) for name in _COUNTS}
        if not all(isinstance(each, dict) for each in counts.values()):
            raise TypeError
        tokenizer = Tokenizer(**config)
        tokenizer.word_counts.update(counts["word_counts"])
        tokenizer.word_docs.update(counts["word_docs"])
        tokenizer.word_index = counts["word_index"]
        tokenizer.index_docs.update({int(index): count for index, count in counts["index_docs"].items()})
        tokenizer.index_word = {int(index): word for index, word in counts["index_word"].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError("This is no JSON of a tokenizer.", got=shown(json_string)) from error
    return tokenizer


__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]
__dir__ = __all__.copy
