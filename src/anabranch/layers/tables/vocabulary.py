"""What lookups have in common: a vocabulary that is given, learned from data, or read from a file beside a model's config."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from anabranch import _tree, runtime
from anabranch._arguments import Several, checked
from anabranch._asked import has_shape, is_without_values, method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, FileFormatError, NotReadyError
from anabranch._files import reached
from anabranch.graph import Shape, Spec
from anabranch.layers.fields import BooleanField, Field, FieldLayer, boolean, choice, field, integer, state
from anabranch.layers.tables.host import MODES, batches_of, dense, encoded_spec, output_mode, salt
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.float32]]

Token = str | int
Listed: TypeAlias = "Sequence[object] | np.ndarray[Any, Any] | Tensor | str | Path | None"
DROPPED = 2**62  # an index outside of any vocabulary, which no vector has a place for
FILE = "vocabulary.txt"


def _as_list(value: object, owner: object, name: str) -> object:
    """Return a list, tuple, array or tensor as a list; a path of a file stays."""
    if value is None or isinstance(value, (str, Path)):
        return value
    if is_without_values(value):
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a flat list.", got=shown(value))
    listed = method(value, "tolist")
    found = listed() if listed else list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else None
    if not isinstance(found, list) or any(isinstance(each, (list, dict)) for each in found):
        raise ArgumentTypeError(f"{name} of {type(owner).__name__} must be a flat list.", got=shown(value))
    return found


def max_tokens() -> Field[Any, Any]:
    """Declare the greatest size of a vocabulary."""
    return integer(
        default=None, least=2, optional=True, doc="the greatest size of the vocabulary, with the special tokens; None: any."
    )


def vocabulary() -> Field[Any, Any]:
    """Declare a vocabulary that is given."""
    return field(
        default=None, convert=_as_list, hidden=True,
        doc="the tokens, a list, an array or the path of a text file with one a line; else adapt learns them.",
    )  # fmt: skip


def idf_weights() -> Field[Any, Any]:
    """Declare the weights of the tokens of a vocabulary that is given."""
    return field(default=None, convert=_as_list, hidden=True, doc='the weights of its tokens, for output_mode="tf_idf".')


class IndexLookup(FieldLayer):
    """A lookup in a vocabulary. Abstract: base of StringLookup and IntegerLookup."""

    _takes_one_tensor_ = True
    token_type: ClassVar[str] = "string"

    max_tokens: Field[int | None, int | None] = max_tokens()
    num_oov_indices: Field[int, int] = integer(
        default=1, least=0, doc="how many positions are for tokens outside of the vocabulary; 0 refuses them."
    )
    mask_token: Field[Any, Any] = field(default=None, doc="the token at position 0, which is padding; None: none is.")
    oov_token: Field[Any, Any] = field(
        default=None, doc="what invert gives for a position of tokens outside of the vocabulary."
    )
    vocabulary: Field[Any, Any] = vocabulary()
    idf_weights: Field[Any, Any] = idf_weights()
    invert: BooleanField = boolean(default=False, doc="whether it maps positions to tokens.")
    output_mode: Field[str, str] = output_mode(*MODES)
    sparse: Field[bool, bool] = dense()
    pad_to_max_tokens: BooleanField = boolean(
        default=False, doc="whether vectors have max_tokens values however few tokens there are."
    )
    oov_method: Field[str, str] = choice(
        "floormod", "farmhash", default="floormod", doc="how integers outside are spread: by their remainder, or by their hash."
    )
    salt: Field[int | Sequence[int] | None, list[int] | None] = salt()

    input_vocabulary: list[Token] | None = state(init=False)  # what was given, and is in the config
    input_idf_weights: list[float] | None = state(init=False)
    _tokens: list[Token] | None = state(init=False)  # without special ones
    _table: dict[Token, int] | None = state(init=False)
    _bytes_table: dict[bytes, int] | None = state(init=False)
    _keys: tuple[Integers, Integers] | None = state(init=False)  # sorted integers and their positions
    _idf: Floats | None = state(init=False)
    _counts: collections.Counter[Token] | None = state(init=False)
    _document_counts: collections.Counter[Token] | None = state(init=False)
    _documents: int = state(init=False)
    _size: int | None = state(init=False)  # that a config says, before the vocabulary comes from a file beside it
    _given: bool = state(init=False)  # whether the vocabulary is the constructor's, which adapt does not replace

    _writes_variables_ = True

    def _take_others_(self, others: dict[str, Any]) -> None:
        self._size = others.pop("vocabulary_size", None)
        self._given = bool(others.pop("has_input_vocabulary", False))
        super()._take_others_(others)

    def _check_(self) -> None:
        given, weights = (vars(self).pop(key, None) for key in (":vocabulary", ":idf_weights"))
        wrong = None
        if self.pad_to_max_tokens and self.max_tokens is None:
            wrong = "pad_to_max_tokens=True needs max_tokens."
        elif self.invert and self.output_mode != "int":
            wrong = f"invert=True gives tokens, not vectors; output_mode is {self.output_mode!r}."
        elif self.salt is not None and self.token_type != "string" and self.oov_method != "farmhash":
            wrong = "salt is for oov_method='farmhash'."
        elif weights is not None and self.output_mode != "tf_idf":
            wrong = f"idf_weights are for output_mode='tf_idf'; it is {self.output_mode!r}."
        elif given is not None and weights is None and self.output_mode == "tf_idf":
            wrong = "A vocabulary that is given for output_mode='tf_idf' needs idf_weights."
        if wrong is not None:
            raise ArgumentError(wrong, where=str(self._made_at_))
        if given is not None:
            self._given = True
            self.set_vocabulary(given, weights)

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        super()._changing_(changed, value)
        self._table = self._bytes_table = self._keys = None

    # The vocabulary

    @property
    def _masked(self) -> int:
        """How many positions are for padding."""
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _start(self) -> int:
        """Where the tokens begin, behind the special ones."""
        return self._masked + self.num_oov_indices

    def _special(self) -> list[Token]:
        return [self.mask_token] * self._masked + [self.oov_token] * self.num_oov_indices

    def _as_tokens(self, values: Sequence[object]) -> list[Token]:
        raise NotImplementedError

    @checked
    def set_vocabulary(self, vocabulary: Listed, idf_weights: Listed = None) -> None:
        """Take a vocabulary in the place of what ``adapt`` would learn.

        Args:
            vocabulary: the tokens, a list, an array or the path of a text file with one a line; special tokens may lead.
            idf_weights: the weights of the tokens, for ``output_mode="tf_idf"``.

        Raises:
            ArgumentError: a token is there twice, a special one is among them, or they are more than ``max_tokens``.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.set_vocabulary(["a", "b"])
            >>> layer.get_vocabulary()
            ['[UNK]', 'a', 'b']
        """
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise ArgumentError(
                "idf_weights belong to output_mode='tf_idf', which needs them.",
                got=f"output_mode={self.output_mode!r}, idf_weights={shown(idf_weights)}", where=self._described_(),
            )  # fmt: skip
        found = _as_list(vocabulary, self, "vocabulary")
        if isinstance(found, (str, Path)):
            found = _lines(found)
        values = self._as_tokens(found) if isinstance(found, list) else []
        if not values:
            raise ArgumentError("A vocabulary has tokens.", got=shown(vocabulary), where=self._described_())
        start = self._start
        led = values[:start] == self._special() and start > 0
        tokens = values[start:] if led else values
        self._check_tokens(tokens)
        weights = None
        if idf_weights is not None:
            weights = self._weights_of(_as_list(idf_weights, self, "idf_weights"), len(values), 0 if led else start)
        self._learn(tokens, weights)
        if self._given:  # the setting, which is in the config
            given: Any = _as_list(idf_weights, self, "idf_weights"), None if isinstance(vocabulary, (str, Path)) else found
            self.input_idf_weights, self.input_vocabulary = given

    def _check_tokens(self, tokens: list[Token]) -> None:
        twice = [token for token, count in collections.Counter(tokens).items() if count > 1]
        if twice:
            raise ArgumentError("A token is in the vocabulary twice.", got=shown(twice), where=self._described_())
        for name, token in (("mask_token", self.mask_token), ("oov_token", self.oov_token if self.invert else None)):
            if token is not None and token in tokens:
                raise ArgumentError(
                    f"The {name} is among the tokens.", expected=f"special tokens first, {self._special()!r}, or none of them",
                    got=f"{token!r} at position {tokens.index(token)}", where=self._described_(),
                )  # fmt: skip
        size = self._start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ArgumentError(
                "The vocabulary is greater than max_tokens.", expected=f"at most {self.max_tokens}",
                got=f"{size} with {self._start} special ones", where=self._described_(),
            )  # fmt: skip

    def _weights_of(self, given: object, count: int, missing: int) -> Floats:
        """Return weights for all positions; special tokens that were not given have the mean."""
        import numpy as np

        weights = np.asarray(given, "float32")
        if weights.shape != (count,):
            raise ArgumentError(
                "idf_weights has a weight for each token.", expected=f"{count} numbers", got=str(weights.shape),
                where=self._described_(),
            )  # fmt: skip
        return np.concatenate([np.full(missing, weights.mean(), "float32"), weights])

    def _learn(self, tokens: list[Token], idf: Floats | None) -> None:
        """Take tokens, unless a call in a graph would give another shape by them."""
        import numpy as np

        before = self._tokens, self._size
        self._tokens, self._size = tokens, None
        for node in [node for node in (call() for call in self._calls_) if node is not None]:
            if self.compute_output_spec(*node.args) != node.output_specs:
                found = len(tokens) + self._start
                self._tokens, self._size = before
                raise ArgumentError(
                    f"The vocabulary of {self._described_()} cannot change its size: its output in a graph has another.",
                    expected=str(node.output_specs), got=f"{found} tokens",
                    where=f"called at {node.site}", repair="adapt before the call; or max_tokens= with pad_to_max_tokens=True",
                )  # fmt: skip
        self._table = self._bytes_table = self._keys = None
        if idf is not None and self.pad_to_max_tokens and self.max_tokens is not None:
            idf = np.pad(idf, (0, max(self.max_tokens - len(idf), 0)))
        if idf is not None:
            self._idf = idf
        self._note_change_()

    def _known(self) -> list[Token]:
        return self._tokens or []

    @checked
    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the tokens in the order of their positions.

        Args:
            include_special_tokens: whether padding and the tokens outside lead, so that an index in the list is a position.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> StringLookup(vocabulary=["a", "b"]).get_vocabulary(include_special_tokens=False)
            ['a', 'b']
        """
        return [*(self._special() if include_special_tokens else ()), *self._known()]

    def vocabulary_size(self) -> int:
        """Return how many positions there are, with those of special tokens.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> StringLookup(vocabulary=["a", "b"], mask_token="").vocabulary_size()
            4
        """
        return self._start + len(self._known())

    # Learning it

    @checked
    def adapt(self, data: object, steps: Several | None = None) -> None:
        """Learn the vocabulary from data: its tokens by how often they are there, equal ones from high to low.

        Args:
            data: an array or a list of tokens, or an iterable of batches of them.
            steps: how many batches are taken; None: all.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.adapt(["b", "a", "b"])
            >>> layer.get_vocabulary()
            ['[UNK]', 'b', 'a']
        """
        self.reset_state()
        whole = isinstance(data, (str, bytes, list, tuple)) or has_shape(data)
        batches_of(data, steps, self._add_rows if whole else self.update_state)
        self.finalize_state()

    def _add_rows(self, data: object) -> None:
        """Add a flat list, each of whose tokens is a document of its own."""
        flat, shape = self._counted(data)
        self._add(flat, (len(flat), 1) if len(shape) < 2 else shape)

    def update_state(self, data: object) -> None:
        """Count the tokens of a batch; a flat list of them is one document.

        Args:
            data: an array or a list of tokens.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.update_state(["a", "b", "b"])
            >>> layer.finalize_state()
            >>> layer.get_vocabulary()
            ['[UNK]', 'b', 'a']
        """
        flat, shape = self._counted(data)
        self._add(flat, (1, len(flat)) if len(shape) < 2 else shape)

    def _counted(self, data: object) -> tuple[Sequence[Token], tuple[int, ...]]:
        raise NotImplementedError

    def _add(self, flat: Sequence[Token], shape: tuple[int, ...]) -> None:
        length = len(flat) // shape[0] if shape[0] else 0
        of_each = collections.Counter[Token]()
        if self.output_mode == "tf_idf":
            for at in range(0, len(flat), length or 1):
                of_each.update(set(flat[at : at + length]))
        self.add_counts(collections.Counter(flat), of_each, shape[0])

    def add_counts(self, counts: Mapping[Any, int], in_documents: Mapping[Any, int], documents: int) -> None:
        """Add how often tokens are there, and in how many of so many documents."""
        if self._given:
            raise ArgumentError(
                f"{self._described_()} was given its vocabulary, which adapt does not replace.",
                repair="a layer without vocabulary=, or set_vocabulary",
            )  # fmt: skip
        if self._counts is None:
            self._counts, self._document_counts, self._documents = collections.Counter(), collections.Counter(), 0
        self._counts.update(counts)
        if self._document_counts is not None:
            self._document_counts.update(in_documents)
        self._documents += documents

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup(max_tokens=2)
            >>> layer.update_state(["a", "b", "b"])
            >>> layer.finalize_state()
            >>> layer.get_vocabulary()
            ['[UNK]', 'b']
        """
        import numpy as np

        if self._given or not self._counts:
            return
        ordered = sorted(self._counts.items(), key=lambda item: (item[1], item[0]), reverse=True)
        tokens = [token for token, _ in ordered if token not in (self.mask_token, self.oov_token)]
        if self.max_tokens is not None:
            tokens = tokens[: max(self.max_tokens - self._start, 0)]
        idf = None
        if self.output_mode == "tf_idf" and self._document_counts is not None:
            found = np.array([self._document_counts[token] for token in tokens], "float64")
            idf = np.log(1 + self._documents / (1 + found)).astype("float32")
            idf = np.concatenate([np.full(self._start, idf.mean() if len(idf) else 0, "float32"), idf])
        self._learn(tokens, idf)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.update_state(["a"])
            >>> layer.reset_state()
            >>> layer.finalize_state()
            >>> layer.get_vocabulary()
            ['[UNK]']
        """
        if not self._given:
            self._counts = self._document_counts = None

    # Running

    def depth(self) -> int | None:
        """Return how long vectors are; None before the vocabulary is known."""
        if self.pad_to_max_tokens:
            return self.max_tokens
        return self.vocabulary_size() if self._tokens is not None else self._size

    def compute_output_spec(self, inputs: Tensor) -> Spec:
        """Return the input's shape and integers, or the shape of vectors and floats."""
        return encoded_spec(inputs.shape, self.output_mode, self.depth(), self._output_dtype_([]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, or that of vectors."""
        return encoded_spec(input_shape, self.output_mode, self.depth(), "").shape

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return int64 for positions, a float type for vectors, and what the tokens are for ``invert``.

        Args:
            input_dtypes: of the inputs.
        """
        if self.invert:
            return "string" if self.token_type == "string" else "int64"
        return "int64" if self.output_mode == "int" else self.compute_dtype

    def in_form(self, positions: Tensor, like: Tensor | None = None) -> Tensor:
        """Return positions, which have the shape of ``like``, in the form that ``output_mode`` says."""
        if self.output_mode == "int":
            return positions
        depth = self.depth()
        if depth is None:
            raise NotReadyError(f"{self._described_()} has no vocabulary yet.", repair="layer.adapt(data), or vocabulary=[…]")
        weighted = self.output_mode == "tf_idf"
        dtype = runtime.dtype_of(self.compute_dtype)
        found = kernels.encode(positions, "count" if weighted else self.output_mode, depth, dtype, like=like)
        if not weighted:
            return found
        return found * runtime.as_tensor(self.token_weights(), self.compute_dtype)

    def token_weights(self) -> Floats:
        """Return the weight of each position, for "tf_idf"."""
        if self._idf is None:
            raise NotReadyError(f"{self._described_()} has no weights yet.", repair="layer.adapt(data), or idf_weights=[…]")
        return self._idf

    def refuse_outside(self, outside: Iterable[object]) -> None:
        """Raise for tokens outside of the vocabulary."""
        found = list(dict.fromkeys(outside))
        raise DataError(
            f"{self._described_()} was given what is not in its vocabulary.", expected="tokens of the vocabulary",
            got=shown(found[:8]), repair="num_oov_indices=1 has a position for them",
        )  # fmt: skip

    # Config and files

    def get_config(self) -> dict[str, Any]:
        """Return the settings, with a vocabulary that was given; what ``adapt`` learned is in files beside the config.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> StringLookup(vocabulary=["a"]).get_config()["vocabulary"]
            ['a']
        """
        weights = self.input_idf_weights
        return super().get_config() | {
            "vocabulary": self.input_vocabulary, "idf_weights": weights,
            "vocabulary_size": self.vocabulary_size() if self._tokens is not None else self._size,
        }  # fmt: skip

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new layer with the settings of a config.

        Args:
            config: what ``get_config`` returned, which names no file.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> StringLookup.from_config({"vocabulary": ["a"]}).get_vocabulary()
            ['[UNK]', 'a']
        """
        refuse_paths(config)
        return super().from_config(config)

    def _learned_data_(self) -> object:
        return None if self._given or self._tokens is None else (self._tokens, self._idf)

    def _take_learned_(self, data: _tree.Nest) -> None:
        self._learn(*data)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put the weights of the tokens into ``store``.

        Args:
            store: arrays by name, of a file.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer, store = StringLookup(vocabulary=["a"], idf_weights=[2.0], output_mode="tf_idf"), {}
            >>> layer.save_own_variables(store)
            >>> store["idf_weights"].tolist()
            [2.0, 2.0]
        """
        if self.output_mode == "tf_idf" and self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the weights of the tokens from ``store``.

        Args:
            store: arrays by name, of a file.

        Example:
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup(output_mode="tf_idf")
            >>> layer.load_own_variables({"idf_weights": [2.0, 2.0]})
        """
        import numpy as np

        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], "float32")

    def save_assets(self, dir_path: str) -> None:
        r"""Write the vocabulary that was learned to a text file, one token a line.

        Args:
            dir_path: the folder of the file ``vocabulary.txt``.

        Example:
            >>> import pathlib
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.adapt(["a"])
            >>> layer.save_assets(".")
            >>> pathlib.Path("vocabulary.txt").read_text()
            '[UNK]\na'
        """
        if self.input_vocabulary is None:
            tokens = list(map(str, self.get_vocabulary()))
            broken = [token for token in tokens if len(token.splitlines()) > 1 or token != token.rstrip("\r\n")]
            if broken:
                raise ArgumentError(
                    "A token has line breaks, and files have one token a line.", got=shown(broken[:4]),
                    where=self._described_(), repair="vocabulary=layer.get_vocabulary() of a new layer goes into its config",
                )  # fmt: skip
            (Path(dir_path) / FILE).write_text("\n".join(tokens), encoding="utf-8", newline="\n")

    def load_assets(self, dir_path: str) -> None:
        r"""Read the vocabulary that ``save_assets`` wrote.

        Args:
            dir_path: the folder of the file ``vocabulary.txt``.

        Raises:
            FileFormatError: there is no such file, or it has no tokens of the layer's type.

        Example:
            >>> import pathlib
            >>> pathlib.Path("vocabulary.txt").write_text("[UNK]\na\nb")
            9
            >>> from anabranch.layers import StringLookup
            >>> layer = StringLookup()
            >>> layer.load_assets(".")
            >>> layer.get_vocabulary()
            ['[UNK]', 'a', 'b']
        """
        if self.input_vocabulary is not None:
            return
        lines = _lines(Path(dir_path) / FILE, ended=True)
        if len(lines) > self._start:
            try:
                tokens = self._as_tokens(lines)[self._start :]
                self._check_tokens(tokens)
            except ArgumentError as error:
                raise FileFormatError(f"{FILE} is no vocabulary of {self._described_()}.", got=error.fact) from error
            self._learn(tokens, None)


def refuse_paths(config: Mapping[str, Any]) -> None:
    """Raise where a config would have a layer read a file."""
    if isinstance(config.get("vocabulary"), (str, Path)):
        raise FileFormatError(
            "A config names a file as vocabulary, which is not read: configs may come from others.",
            got=shown(config["vocabulary"]), repair="set_vocabulary(path) of the layer",
        )  # fmt: skip


def _lines(path: str | Path, *, ended: bool = False) -> list[str]:
    """Return the lines of a text file; ``ended``: without empty ones at the end."""
    with reached("read", path):
        data = Path(path).read_bytes()
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is no text in UTF-8.", got=str(error)) from error
    if lines and (lines[-1] == "" or ended):
        while lines and lines[-1] == "":
            lines.pop()
    return lines
