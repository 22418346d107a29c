"""Hashes of strings and integers as the numbers of bins, alone and crossed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree, config, runtime
from anabranch._asked import method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from anabranch.graph import Shape, Spec
from anabranch.layers.fields import NAME_DOC, Field, field, integer
from anabranch.layers.tables import hashes
from anabranch.layers.tables.host import DTYPE_DOC, OnHost, dense, encoded, encoded_spec, output_mode, salt
from anabranch.layers.tables.lookup import buckets
from anabranch.layers.tables.words import as_strings

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

    Array = np.ndarray[Any, Any]


class _Bins(OnHost):
    """What gives the numbers of bins: integers, or vectors of floats. Abstract."""

    num_bins: Field[int, int] = integer(doc="how many bins there are.")
    output_mode: Field[str, str] = output_mode("int", "one_hot")

    def _take_others_(self, others: dict[str, Any]) -> None:
        if others.get("dtype") is None:
            others["dtype"] = "int64" if self.output_mode == "int" else config.floatx()
        super()._take_others_(others)

    def _check_(self) -> None:
        if self.output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise ArgumentError(
                "The numbers of bins are integers.", expected="dtype='int32' or 'int64'", got=f"dtype={self.dtype!r}",
                where=str(self._made_at_),
            )  # fmt: skip


def _values(value: object, where: str) -> Array:
    """Return integers as int64, or strings as an object array."""
    import numpy as np

    detach = method(value, "detach")
    try:
        array: Array = runtime.numpy_of(value) if detach else np.asarray(value)  # type: ignore[arg-type]  # a tensor
    except ValueError:
        array = np.asarray(0, dtype=object)  # rows of different lengths, which as_strings refuses
    if array.dtype.kind in "USOT":
        strings = as_strings(value, where)
        array = np.empty(len(strings.flat), object)
        array[:] = strings.flat
        return array.reshape(strings.shape)
    if array.dtype.kind not in "iubf":
        raise DtypeError(f"{where} holds neither strings nor integers.", got=f"dtype {array.dtype}")
    return array.astype("int64") if array.dtype.kind != "f" else array


class Hashing(_Bins):
    """Return the number of the bin that the hash of each string or integer falls into; integers are hashed as decimal text.

    The hash is FarmHash's Fingerprint64, or with ``salt`` SipHash-2-4 (Aumasson & Bernstein 2012). With ``mask_value`` bin 0 is
    that value's alone.

    Example:
        >>> Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
        [[1], [0], [1], [1], [2]]
        >>> Hashing(num_bins=3, salt=[133, 137])([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
        [[1], [2], [1], [0], [2]]
    """

    mask_value: Field[str | int | None, str | int | None] = field(
        default=None, doc="the value of bin 0; None: none has a bin of its own."
    )
    salt: Field[int | Sequence[int] | None, list[int] | None] = salt()
    output_mode: Field[str, str] = output_mode("int", "one_hot", "multi_hot", "count")
    sparse: Field[bool, bool] = dense()
    _field_order_ = ("num_bins", "mask_value", "salt", "output_mode", "sparse")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, or that of vectors."""
        return encoded_spec(input_shape, self.output_mode, self.num_bins, "").shape

    def call(self, inputs: _tree.Nest) -> Tensor:
        """Hash."""
        import numpy as np

        values = _values(inputs, f"The input of {self._described_()}")
        masked = self.mask_value is not None and self.num_bins > 1
        flat = (values.astype("int64") if values.dtype.kind == "f" else values).ravel()
        known, at = _unique(flat)
        found = buckets(known, self.num_bins - masked, self.salt)[at].reshape(values.shape)
        if masked:
            found = np.where(values == self.mask_value, 0, found + 1)
        return encoded(found, self.output_mode, self.num_bins, self.compute_dtype)


def _unique(flat: Array) -> tuple[list[str], Array]:
    """Return the texts of the distinct values, and for each value which of them is its own."""
    import numpy as np

    if flat.dtype.kind == "O":
        words = flat.tolist()
        places: dict[str, int] = {word: number for number, word in enumerate(dict.fromkeys(words))}
        return list(places), np.fromiter(map(places.__getitem__, words), "int64", len(words))
    known, at = np.unique(flat, return_inverse=True)
    return list(map(str, known.tolist())), at.ravel()


class HashedCrossing(_Bins):
    """Return the number of the bin that the hash of several features together falls into.

    Features have the shape (B,) or (B, 1), of strings or integers.

    Example:
        >>> layer = HashedCrossing(num_bins=5)
        >>> layer((["A", "B", "A", "B", "A"], [101, 101, 101, 102, 102])).tolist()
        [1, 4, 1, 1, 3]
    """

    _takes_one_tensor_ = False

    sparse: Field[bool, bool] = dense()
    _field_order_ = ("num_bins", "output_mode", "sparse")
    _others_by_position_ = {"name": NAME_DOC, "dtype": DTYPE_DOC}

    def compute_output_spec(self, inputs: _tree.Nest) -> Spec:
        """Return the features' shape, or that of vectors."""
        if not isinstance(inputs, (list, tuple)):
            self._check_features(inputs)
        self._check_features([tuple(each.shape) for each in inputs])
        shape = self.compute_output_shape([each.shape for each in inputs])
        return Spec(shape, self.compute_dtype)

    def compute_output_shape(self, input_shape: _tree.Nest) -> Shape:
        """Return the features' shape, or that of vectors."""
        self._check_features(input_shape)
        return encoded_spec(tuple(input_shape[0]), self.output_mode, self.num_bins, "").shape

    def _check_features(self, shapes: _tree.Nest) -> None:
        if (
            not isinstance(shapes, (list, tuple))
            or len(shapes) < 2
            or not all(isinstance(each, (list, tuple)) for each in shapes)
        ):
            raise ArgumentTypeError(
                "HashedCrossing takes a list of two features or more.", expected="layer([a, b])", got=shown(shapes),
                where=self._described_(),
            )  # fmt: skip
        first = tuple(shapes[0])
        if len(first) > 2 or (len(first) == 2 and first[1] != 1) or any(tuple(each)[1:] != first[1:] for each in shapes):
            raise ShapeError(
                "Features that are crossed have one value a sample, and equal shapes.", expected="(B,) or (B, 1) each",
                got=", ".join(map(str, shapes)), where=self._described_(),
            )  # fmt: skip

    def call(self, inputs: _tree.Nest) -> Tensor:
        """Cross."""
        import numpy as np

        where = f"The input of {self._described_()}"
        features = [_values(each, where) for each in inputs] if isinstance(inputs, (list, tuple)) else inputs
        self._check_features([each.shape for each in features] if isinstance(features, list) else features)
        if any(each.shape != features[0].shape for each in features):
            raise ShapeError(
                "Features that are crossed have equal shapes.", got=", ".join(str(each.shape) for each in features),
                where=self._described_(),
            )  # fmt: skip
        columns = []
        for each in features:
            if each.dtype.kind == "f":
                raise DtypeError(
                    f"{where} has floats, which are not crossed.", expected="strings or integers", got=str(each.dtype)
                )
            flat = each.ravel()
            if flat.dtype.kind == "O":
                known, at = _unique(flat)
                columns.append(hashes.fingerprint64([word.encode() for word in known])[at])
            else:
                columns.append(flat.view(np.uint64))
        found = (hashes.cross64(columns) % np.uint64(self.num_bins)).astype("int64").reshape(features[0].shape)
        return encoded(found, self.output_mode, self.num_bins, self.compute_dtype)
