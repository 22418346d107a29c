"""Lookups: strings or integers as their positions in a vocabulary, and back."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree, runtime
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, DataError
from anabranch.layers.fields import NAME_DOC, Field, choice, field, integer
from anabranch.layers.tables import hashes
from anabranch.layers.tables.host import OnHost
from anabranch.layers.tables.vocabulary import DROPPED, IndexLookup, Token
from anabranch.layers.tables.words import as_strings
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

    Integers = np.ndarray[Any, np.dtype[np.int64]]


class StringLookup(OnHost, IndexLookup):
    """Return the position of each string in a vocabulary, or with ``invert`` the string at each position.

    Positions are those of padding, of strings outside of the vocabulary, and then of its tokens. Strings come as str, bytes,
    lists or arrays.

    Example:
        >>> layer = StringLookup(vocabulary=["a", "b", "c"])
        >>> layer([["a", "c"], ["d", "b"]]).tolist()
        [[1, 3], [0, 2]]
        >>> StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")([["a", "b"], ["d", "d"]]).tolist()
        [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
        >>> StringLookup(vocabulary=["a", "b"], invert=True)([2, 0]).tolist()
        ['b', '[UNK]']
    """

    mask_token: Field[str | None, str | None] = field(
        default=None, doc="the string at position 0, which is padding; None: none is."
    )
    oov_token: Field[str | None, str | None] = field(
        default="[UNK]", doc="what invert gives for a position of strings outside of the vocabulary."
    )
    encoding: Field[str, str] = field(default="utf-8", doc="the encoding of bytes.")
    _field_order_ = (
        "max_tokens", "num_oov_indices", "mask_token", "oov_token", "vocabulary", "idf_weights", "invert", "output_mode",
        "pad_to_max_tokens", "sparse", "encoding", "salt",
    )  # fmt: skip
    _others_by_position_ = {"name": NAME_DOC}

    def _as_tokens(self, values: Sequence[object]) -> list[Token]:
        return [*as_strings(list(values), "The vocabulary", self.encoding).flat]

    def _counted(self, data: object) -> tuple[Sequence[Token], tuple[int, ...]]:
        return as_strings(data, "What adapt was given", self.encoding)

    def positions(self, words: Iterable[str], count: int) -> Integers:
        """Return the position of each of ``count`` strings."""
        import numpy as np

        table = self._table
        if table is None:
            table = {token: position for position, token in enumerate(self._known(), self._start)}
            if self.mask_token is not None:
                table[self.mask_token] = 0 if self.output_mode == "int" else DROPPED
            self._table = table
        if self.num_oov_indices == 1:
            return np.fromiter(map(table.get, words, itertools.repeat(self._masked)), "int64", count)
        listed = list(words)
        found = np.fromiter(map(table.get, listed, itertools.repeat(-1)), "int64", count)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            outside_words = [listed[at] for at in unknown]
            if self.num_oov_indices == 0:
                self.refuse_outside(outside_words)
            found[unknown] = buckets(outside_words, self.num_oov_indices, self.salt) + self._masked
        return found

    def positions_of_bytes(self, words: Iterable[bytes]) -> Integers:
        """Return the position of each string in UTF-8, where one position is for all that are outside."""
        import numpy as np

        if self._bytes_table is None:
            self.positions([], 0)
            self._bytes_table = {str(token).encode(): position for token, position in (self._table or {}).items()}
        return np.fromiter(map(self._bytes_table.get, words, itertools.repeat(self._masked)), "int64")

    def call(self, inputs: object) -> _tree.Nest:
        """Look up."""
        if self.invert:
            return self._tokens_at(inputs)
        strings = as_strings(inputs, f"The input of {self._described_()}", self.encoding)
        return self.in_form(runtime.as_tensor(self.positions(strings.flat, len(strings.flat)).reshape(strings.shape)))

    def _tokens_at(self, inputs: object) -> np.ndarray[Any, Any]:
        import numpy as np

        at = runtime.numpy_of(runtime.as_tensor(inputs)).astype("int64")
        names = np.array([*self.get_vocabulary(), self.oov_token], dtype=object)
        return names[np.where((at >= 0) & (at < len(names) - 1), at, len(names) - 1)].astype(str)


def buckets(words: Sequence[str], count: int, key: Sequence[int] | None) -> Integers:
    """Return in which of ``count`` buckets the hash of each string is."""
    import numpy as np

    data = [word.encode() for word in words]
    found = hashes.fingerprint64(data) if key is None else hashes.siphash64(data, key)
    return (found % np.uint64(count)).astype("int64")


class IntegerLookup(IndexLookup):
    """Return the position of each integer in a vocabulary, or with ``invert`` the integer at each position.

    Example:
        >>> layer = IntegerLookup(vocabulary=[12, 36, 1138])
        >>> layer([[12, 1138], [42, 36]]).tolist()
        [[1, 3], [0, 2]]
    """

    token_type = "integer"

    mask_token: Field[int | None, int | None] = integer(
        default=None, least=None, optional=True, doc="the integer at position 0, which is padding; None: none is."
    )
    oov_token: Field[int | None, int | None] = integer(
        default=-1, least=None, optional=True, doc="what invert gives for a position of integers outside of the vocabulary."
    )
    vocabulary_dtype: Field[str, str] = choice("int64", default="int64", doc="the type of the integers.")
    _field_order_ = (
        "max_tokens", "num_oov_indices", "mask_token", "oov_token", "vocabulary", "vocabulary_dtype", "idf_weights", "invert",
        "output_mode", "sparse", "pad_to_max_tokens", "oov_method", "salt",
    )  # fmt: skip
    _others_by_position_ = {"name": NAME_DOC}

    def _as_tokens(self, values: Sequence[object]) -> list[Token]:
        found: list[Token] = []
        for value in values:
            try:
                if not is_integer(value) and not isinstance(value, str):
                    raise ValueError
                found.append(int(value))  # type: ignore[call-overload]  # an integer, or a line of a file
            except ValueError as error:
                raise ArgumentError("A vocabulary of IntegerLookup has integers.", got=shown(value)) from error
        return found

    def _counted(self, data: object) -> tuple[Sequence[Token], tuple[int, ...]]:
        array = runtime.numpy_of(runtime.as_tensor(data))
        if array.dtype.kind not in "iub":
            raise DataError(
                f"{self._described_()} takes integers.", got=f"dtype {array.dtype}", repair="x.astype('int64')"
            )  # fmt: skip
        return array.astype("int64").ravel().tolist(), array.shape

    def call(self, inputs: Tensor) -> Tensor:
        """Look up."""
        x = inputs.long()
        if self.invert:
            return self._tokens_at(x)
        if self._keys is None:
            self._keys = self._sorted()
        keys, values = map(runtime.as_tensor, self._keys)
        found, known = kernels.find(x, keys, values)
        if self.num_oov_indices == 0:
            if self.mask_token is not None:
                known = known | (x == self.mask_token)
            if not bool(known.all()):
                self.refuse_outside(x[~known].tolist())
        else:
            found = kernels.first_or(found, known, self._outside(x) + self._masked)
        if self.mask_token is not None:
            found = kernels.first_or(found, x != self.mask_token, 0 if self.output_mode == "int" else DROPPED)
        return self.in_form(found, inputs)

    def _sorted(self) -> tuple[Integers, Integers]:
        import numpy as np

        tokens = np.array(self._known() or [0], "int64")
        order = np.argsort(tokens)
        return tokens[order], order.astype("int64") + (self._start if self._known() else 0)

    def _outside(self, x: Tensor) -> Tensor | int:
        if self.num_oov_indices == 1:
            return 0
        if self.oov_method == "floormod":
            return x % self.num_oov_indices
        found = buckets([str(value) for value in x.flatten().tolist()], self.num_oov_indices, self.salt)
        return runtime.as_tensor(found).reshape(x.shape)

    def _tokens_at(self, x: Tensor) -> Tensor:
        import numpy as np

        outside = -1 if self.oov_token is None else self.oov_token
        names = [outside if name is None else name for name in (*self.get_vocabulary(), outside)]
        at = kernels.first_or(x, (x >= 0) & (x < len(names)), len(names) - 1)
        return runtime.as_tensor(np.array(names, "int64"))[at]
