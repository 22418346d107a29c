"""Texts as rows of integers or vectors of their words."""

from __future__ import annotations

import collections
import itertools
import string
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from anabranch import _tree, registry, runtime
from anabranch._arguments import Several, checked
from anabranch._asked import has_shape, is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError, unknown
from anabranch.graph import Shape, Spec
from anabranch.layers.fields import NAME_DOC, BooleanField, Field, boolean, field, integer, listed, state
from anabranch.layers.tables.host import MODES, OnHost, batches_of, dense, output_mode
from anabranch.layers.tables.lookup import StringLookup
from anabranch.layers.tables.vocabulary import DROPPED, Listed, idf_weights, max_tokens, refuse_paths, vocabulary
from anabranch.layers.tables.words import Strings, as_strings

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

Array: TypeAlias = "np.ndarray[Any, Any]"
Prepare: TypeAlias = "str | Callable[[Array], object] | None"

Documents = list[Sequence[bytes]]
_PUNCTUATION = string.punctuation.encode()
_LOWER = bytes(range(256)).lower()  # letters of ASCII, as TensorFlow's lower without an encoding
_ROUTES: dict[str, tuple[bytes | None, bytes]] = {  # what bytes become, and which are left out
    "lower": (_LOWER, b""), "strip_punctuation": (None, _PUNCTUATION), "lower_and_strip_punctuation": (_LOWER, _PUNCTUATION),
}  # fmt: skip


def _prepare(*names: str, default: str, doc: str) -> Field[Any, Any]:
    """Declare one of some ways by name, a function of an array of str, or None."""

    def convert(value: object, owner: object, name: str) -> object:
        if isinstance(value, Mapping) and "class_name" in value:
            value = registry.deserialize(dict(value))
        if value is None or value in names or callable(value):
            return value
        if isinstance(value, str):
            raise unknown(name, value, names, of=type(owner).__name__)
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a name, a function or None.", got=shown(value))

    return field(default=default, convert=convert, doc=doc)


def _ngrams(value: object, owner: object, name: str) -> object:
    found = tuple(value) if isinstance(value, list) else value
    sizes = found if isinstance(found, tuple) else () if found is None else (found,)
    if not all(is_integer(each) and each > 0 for each in sizes):
        raise ArgumentError(f"{name} of {type(owner).__name__} must be an integer, a tuple of some, or None.", got=shown(value))
    return found


class TextVectorization(OnHost):
    """Return texts as rows of integers, the positions of their words in a vocabulary; or as a vector for each text.

    A text is put into lower case, loses its punctuation, is split into words, and these are looked up: 0 is padding, 1 a word
    outside of the vocabulary. Shapes: (B,) or (B, 1) -> (B, T), with vectors (B, size of the vocabulary).

    Example:
        >>> layer = TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["The cat sat.", "The dog!"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
        >>> layer(["the cat", "a dog sat on the cat"]).tolist()
        [[2, 5, 0, 0], [1, 4, 3, 1]]
    """

    max_tokens: Field[int | None, int | None] = max_tokens()
    standardize: Field[Prepare, Prepare] = _prepare(
        *_ROUTES, default="lower_and_strip_punctuation",
        doc='"lower_and_strip_punctuation", "lower" or "strip_punctuation" (letters and signs of ASCII), a function of an array'
        " of str that returns one, or None.",
    )  # fmt: skip
    split: Field[Prepare, Prepare] = _prepare(
        "whitespace", "character", default="whitespace",
        doc='"whitespace", "character", a function of an array of str that returns a list of lists, or None: texts are words.',
    )  # fmt: skip
    ngrams: Field[int | Sequence[int] | None, int | tuple[int, ...] | None] = field(
        default=None,
        convert=_ngrams,
        plain=listed,
        doc="n: words and runs of up to n words; a tuple: runs of these lengths; None: words.",
    )
    output_mode: Field[str, str] = output_mode(*MODES)
    output_sequence_length: Field[int | None, int | None] = integer(
        default=None, least=0, optional=True, doc="T, to which rows are cut and padded; None: the longest's."
    )
    pad_to_max_tokens: BooleanField = boolean(default=False, doc="whether vectors have max_tokens values in any case.")
    vocabulary: Field[Any, Any] = vocabulary()
    idf_weights: Field[Any, Any] = idf_weights()
    sparse: Field[bool, bool] = dense()
    ragged: Field[bool, bool] = dense()
    encoding: Field[str, str] = field(default="utf-8", doc="the encoding of bytes.")

    _begins_with_ = Spec((None,), "string")
    _others_by_position_ = {"name": NAME_DOC}

    _writes_variables_ = True

    _lookup_layer: StringLookup = state(init=False)
    _size: int | None = state(init=False)

    def _take_others_(self, others: dict[str, Any]) -> None:
        self._size = others.pop("vocabulary_size", None)
        others.pop("has_input_vocabulary", None)
        super()._take_others_(others)

    def _check_(self) -> None:
        if self.output_mode != "int" and self.output_sequence_length is not None:
            raise ArgumentError(
                f"output_sequence_length is for output_mode='int'; it is {self.output_mode!r}.", where=str(self._made_at_)
            )
        if self.output_mode == "one_hot" and self.split is not None:
            raise ArgumentError(
                "A vector for each word of texts of different lengths is no tensor.", got="output_mode='one_hot'",
                where=str(self._made_at_), repair="output_mode='multi_hot' or 'count'; or 'int' and then CategoryEncoding",
            )  # fmt: skip
        given, weights = (vars(self).pop(key, None) for key in (":vocabulary", ":idf_weights"))
        if self._lookup_layer is None:
            self._lookup_layer = StringLookup(
                max_tokens=self.max_tokens, mask_token="", vocabulary=given, idf_weights=weights, output_mode=self.output_mode,
                pad_to_max_tokens=self.pad_to_max_tokens, encoding=self.encoding, vocabulary_size=self._size,
                dtype=self.dtype_policy,
            )  # fmt: skip

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        if changed.name in ("max_tokens", "output_mode", "pad_to_max_tokens", "encoding", "vocabulary", "idf_weights"):
            raise ArgumentError(
                f"{changed.name} of {self._described_()} cannot change: its vocabulary was made with it.",
                got=shown(value), repair="make a new layer",
            )  # fmt: skip
        super()._changing_(changed, value)

    # The vocabulary

    @checked
    def set_vocabulary(self, vocabulary: Listed, idf_weights: Listed = None) -> None:
        """Take a vocabulary in the place of what ``adapt`` would learn.

        Args:
            vocabulary: the words, a list, an array or the path of a text file with one a line; special ones may lead.
            idf_weights: the weights of the words, for ``output_mode="tf_idf"``.

        Example:
            >>> layer = TextVectorization()
            >>> layer.set_vocabulary(["cat", "dog"])
            >>> layer(["dog"]).tolist()
            [[3]]
        """
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)
        self._note_change_()

    @checked
    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the words in the order of their positions.

        Args:
            include_special_tokens: whether padding and the words outside lead, so that an index in the list is a position.

        Example:
            >>> TextVectorization(vocabulary=["cat", "dog"]).get_vocabulary()
            ['', '[UNK]', 'cat', 'dog']
        """
        found = self._lookup_layer.get_vocabulary()
        return found if include_special_tokens else found[self._lookup_layer._start :]

    def vocabulary_size(self) -> int:
        """Return how many positions there are, with those of special words.

        Example:
            >>> TextVectorization(vocabulary=["cat", "dog"]).vocabulary_size()
            4
        """
        return self._lookup_layer.vocabulary_size()

    @checked
    def adapt(self, data: object, batch_size: int | None = None, steps: Several | None = None) -> None:
        """Learn the vocabulary from texts: words by how often they are there, equal ones from high to low.

        Args:
            data: an array or a list of texts, or an iterable of batches of them.
            batch_size: is ignored; Keras 2's.
            steps: how many batches are taken; None: all.

        Example:
            >>> layer = TextVectorization()
            >>> layer.adapt(["a b", "b c"])
            >>> layer.get_vocabulary(include_special_tokens=False)
            ['b', 'c', 'a']
        """
        self.reset_state()
        whole = isinstance(data, (str, bytes, list, tuple)) or has_shape(data)
        batches_of(data, steps, self._add_columns if whole else self.update_state)
        self.finalize_state()

    def _add_columns(self, data: object) -> None:
        self.update_state(data, rows=self.split is None)

    def update_state(self, data: object, *, rows: bool = False) -> None:
        """Count the words of a batch of texts.

        Args:
            data: an array or a list of texts.
            rows: whether each of a flat list of words is a text of its own.

        Example:
            >>> layer = TextVectorization()
            >>> layer.update_state(["a b b"])
            >>> layer.finalize_state()
            >>> layer.get_vocabulary(include_special_tokens=False)
            ['b', 'a']
        """
        documents, rank = self._documents(data)
        if rows and rank < 2:
            documents = [[word] for document in documents for word in document]
        lookup, of_each = self._lookup_layer, collections.Counter[bytes]()
        if self.output_mode == "tf_idf":
            of_each.update(itertools.chain.from_iterable(map(set, documents)))
        counts = collections.Counter(itertools.chain.from_iterable(documents))
        lookup.add_counts(_decoded(counts), _decoded(of_each), len(documents))

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted.

        Example:
            >>> layer = TextVectorization(max_tokens=3)
            >>> layer.update_state(["a b b"])
            >>> layer.finalize_state()
            >>> layer.get_vocabulary()
            ['', '[UNK]', 'b']
        """
        before = self._lookup_layer.vocabulary_size()
        self._lookup_layer.finalize_state()
        if before != self._lookup_layer.vocabulary_size():
            self._note_change_()

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays.

        Example:
            >>> layer = TextVectorization()
            >>> layer.update_state(["a"])
            >>> layer.reset_state()
            >>> layer.finalize_state()
            >>> layer.get_vocabulary(include_special_tokens=False)
            []
        """
        self._lookup_layer.reset_state()

    # Texts as words

    def _documents(self, data: object) -> tuple[Documents, int]:
        """Return the words of each text, and how many axes the texts had."""
        where = f"The input of {self._described_()}"
        texts = as_strings(data, where, self.encoding)
        if callable(self.standardize):
            texts = as_strings(self.standardize(_array(texts)), f"What standardize of {self._described_()} returned")
        rank = len(texts.shape)
        if self.split is None:
            documents = self._rows(texts)
        else:
            if rank > 1 and texts.shape[-1] != 1:
                raise ShapeError(
                    "Texts to be split come one a sample.", expected="(B,) or (B, 1)", got=str(texts.shape), where=where
                )
            documents = self._split(texts)
        if self.ngrams is not None:
            sizes = self.ngrams if isinstance(self.ngrams, tuple) else tuple(range(1, self.ngrams + 1))
            documents = [_runs(document, sizes) for document in documents]
        return documents, rank

    def _bytes(self, texts: Strings) -> list[bytes]:
        if isinstance(self.standardize, str):
            table, left_out = _ROUTES[self.standardize]
            return [text.encode("utf-8", "replace").translate(table, left_out) for text in texts.flat]
        return [text.encode("utf-8", "replace") for text in texts.flat]

    def _rows(self, texts: Strings) -> Documents:
        words = self._bytes(texts)
        width = texts.shape[-1] if texts.shape else 1
        return [words[at : at + width] for at in range(0, len(words), width or 1)]

    def _split(self, texts: Strings) -> Documents:
        if callable(self.split):
            flat = self._bytes(texts)
            found = self.split(_array(Strings([text.decode("utf-8", "replace") for text in flat], (len(flat),))))
            if not isinstance(found, Iterable):
                raise ArgumentTypeError(f"split of {self._described_()} must return a list of lists.", got=shown(found))
            where = f"What split of {self._described_()} returned"
            return [[word.encode() for word in as_strings(_as_list(each), where).flat] for each in found]
        if self.split == "character":
            return [[sign.encode() for sign in text.decode("utf-8", "replace")] for text in self._bytes(texts)]
        return [text.split() for text in self._bytes(texts)]

    # Running

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B,) or (B, 1) -> (B, T), or (B, size of the vocabulary)."""
        last = self.output_sequence_length if self.output_mode == "int" else self._lookup_layer.depth()
        if self.split is None and self.output_mode == "int" and last is None:
            return input_shape
        return (*input_shape[:1], last)

    def compute_output_spec(self, inputs: Tensor) -> Spec:
        """Return the shape that :meth:`compute_output_shape` says, of integers or floats."""
        return Spec(self.compute_output_shape(inputs.shape), self._output_dtype_([]))

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return int64 for positions, a float type for vectors.

        Args:
            input_dtypes: of the inputs.
        """
        return "int64" if self.output_mode == "int" else self.compute_dtype

    def call(self, inputs: object) -> Tensor:
        """Look the words up."""
        documents, rank = self._documents(inputs)
        found = self._positions(documents) if self.output_mode == "int" else self._vectors(documents)
        if rank == 0:
            found = found[0]
        elif rank == 1 and self.split is None and self.output_mode == "int" and self.output_sequence_length is None:
            found = found.reshape(-1)
        return runtime.as_tensor(found, self._output_dtype_([]))

    def _positions(self, documents: Documents) -> Array:
        import numpy as np

        length = self.output_sequence_length
        sizes = np.fromiter(map(len, documents), "int64", len(documents))
        width = int(sizes.max(initial=0)) if length is None else length
        found = np.zeros((len(documents), width), "int64")
        flat = self._lookup_layer.positions_of_bytes(itertools.chain.from_iterable(row[:length] for row in documents))
        found[np.arange(width) < sizes[:, None]] = flat
        return found

    def _vectors(self, documents: Documents) -> Array:
        import numpy as np

        depth = self._lookup_layer.depth()
        if depth is None:
            raise NotReadyError(f"{self._described_()} has no vocabulary yet.", repair="layer.adapt(texts), or vocabulary=[…]")
        at = self._lookup_layer.positions_of_bytes(itertools.chain.from_iterable(documents))
        rows = np.repeat(np.arange(len(documents)), [len(row) for row in documents])
        known = at < DROPPED
        counts = np.bincount(rows[known] * depth + at[known], minlength=len(documents) * depth).reshape(len(documents), depth)
        found: Array = counts.astype("float32")
        if self.output_mode in ("multi_hot", "one_hot"):
            found = np.minimum(found, 1)
        if self.output_mode == "tf_idf":
            found = found * self._lookup_layer.token_weights()
        return found

    # Config and files

    def get_config(self) -> dict[str, Any]:
        """Return the settings, with a vocabulary that was given; what ``adapt`` learned is in files beside the config.

        Example:
            >>> TextVectorization(vocabulary=["cat"]).get_config()["vocabulary_size"]
            3
        """
        lookup = self._lookup_layer
        return super().get_config() | {
            "vocabulary": lookup.input_vocabulary, "idf_weights": lookup.input_idf_weights,
            "vocabulary_size": lookup.get_config()["vocabulary_size"] or lookup.vocabulary_size(),
        }  # fmt: skip

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new layer with the settings of a config.

        Args:
            config: what ``get_config`` returned, which names no file.

        Example:
            >>> TextVectorization.from_config({"vocabulary": ["cat"]}).get_vocabulary()
            ['', '[UNK]', 'cat']
        """
        refuse_paths(config)
        return super().from_config(config)

    def _learned_data_(self) -> object:
        return self._lookup_layer._learned_data_()

    def _take_learned_(self, data: _tree.Nest) -> None:
        self._lookup_layer._take_learned_(data)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put the weights of the words into ``store``.

        Args:
            store: arrays by name, of a file.

        Example:
            >>> store = {}
            >>> TextVectorization().save_own_variables(store)
            >>> store
            {}
        """
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the weights of the words from ``store``.

        Args:
            store: arrays by name, of a file.

        Example:
            >>> TextVectorization(output_mode="tf_idf").load_own_variables({"idf_weights": [1.0]})
        """
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        r"""Write the vocabulary that was learned to a text file, one word a line.

        Args:
            dir_path: the folder of the file ``vocabulary.txt``.

        Example:
            >>> import pathlib
            >>> layer = TextVectorization()
            >>> layer.adapt(["cat"])
            >>> layer.save_assets(".")
            >>> pathlib.Path("vocabulary.txt").read_text()
            '\n[UNK]\ncat'
        """
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        r"""Read the vocabulary that ``save_assets`` wrote.

        Args:
            dir_path: the folder of the file ``vocabulary.txt``.

        Example:
            >>> import pathlib
            >>> pathlib.Path("vocabulary.txt").write_text("\n[UNK]\ncat")
            10
            >>> layer = TextVectorization()
            >>> layer.load_assets(".")
            >>> layer(["cat"]).tolist()
            [[2]]
        """
        if self._lookup_layer.input_vocabulary is None and (Path(dir_path) / "vocabulary.txt").exists():
            self._lookup_layer.load_assets(dir_path)


def _array(texts: Strings) -> Array:
    import numpy as np

    return np.array(texts.flat, dtype=np.str_).reshape(texts.shape)


def _decoded(counts: Mapping[bytes, int]) -> dict[str, int]:
    return {word.decode("utf-8", "replace"): count for word, count in counts.items()}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, (str, bytes)) else value


def _runs(document: Sequence[bytes], sizes: Sequence[int]) -> Sequence[bytes]:
    """Return the runs of words of these lengths, joined by spaces."""
    found: list[bytes] = []
    for size in sizes:
        found += [b" ".join(document[at : at + size]) for at in range(len(document) - size + 1)] if size > 1 else document
    return found
