"""Tables of vectors, one for each id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from anabranch import initializers, runtime
from anabranch._asked import has_shape
from anabranch._errors import ShapeError
from anabranch.graph import Shape, Spec, Tensor as Symbol, Weight
from anabranch.layers import fields, low_rank, quantizable
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.quantizers import Quantizer
    from anabranch.runtime import Tensor


def _table(value: object, owner: object, name: str) -> object:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


class Embedding(quantizable.Quantizable):
    """Look up the row of a table for each integer: (B, …) -> (B, …, output_dim).

    With ``mask_zero`` the output's mask is false at ids of 0, which are padding, and ``input_dim`` counts 0.

    Example:
        >>> from anabranch import Input
        >>> Embedding(1000, 16)(Input((20,), dtype="int32")).shape
        (None, 20, 16)
    """

    _adapts_ = "embeddings"
    _quantizes_: ClassVar[tuple[str, ...]] = ("embeddings",)
    _takes_one_tensor_ = True
    _autocast_ = False  # the rows are cast, rather than all of the table

    input_dim: fields.Field[int, int] = fields.integer(doc="the number of rows: one more than the greatest id.", fixed=True)  # type: ignore[assignment]
    output_dim: fields.Field[int, int] = fields.integer(doc="the size of a row.", fixed=True)
    embeddings_initializer: fields.InitializerField = fields.initializer(
        default="uniform", doc="of the table (input_dim, output_dim)."
    )
    embeddings_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    embeddings_constraint: fields.ConstraintField = fields.constraint(default=None)
    mask_zero: fields.BooleanField = fields.boolean(default=False, doc="whether 0 is padding.")
    weights: fields.Field[Any, Any] = fields.field(  # type: ignore[assignment]
        default=None, convert=_table, hidden=True, doc="the table's initial values, an array (input_dim, output_dim)."
    )
    lora_rank: fields.Field[int | None, int | None] = low_rank.rank()
    lora_alpha: fields.Field[float | None, float | None] = low_rank.alpha()
    quantization_config: quantizable.ConfigField = quantizable.setting()
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)

    embeddings: Weight = fields.weight_state(init=False)
    lora_embeddings_a: Weight = fields.weight_state(init=False)
    lora_embeddings_b: Weight = fields.weight_state(init=False)
    if TYPE_CHECKING:  # there once the layer is quantized
        embeddings_scale: Weight = fields.weight_state(init=False)
        embeddings_zero: Weight = fields.weight_state(init=False)
        g_idx: Weight = fields.weight_state(init=False)

    def _check_(self) -> None:
        super()._check_()
        table = vars(self).pop(":weights", None)
        if table is not None:
            shape = tuple(table.shape) if has_shape(table) else None
            if shape != (self.input_dim, self.output_dim):
                raise ShapeError(
                    "The table given as weights has another shape.", expected=f"an array {(self.input_dim, self.output_dim)}",
                    got=repr(table)[:80] if shape is None else str(shape), where=str(self._made_at_),
                )  # fmt: skip
            self.embeddings_initializer = initializers.Constant(table)
            self.build()

    def _take_others_(self, others: dict[str, Any]) -> None:
        others.pop("input_length", None)  # Keras 2's
        super()._take_others_(others)

    @property
    def supports_masking(self) -> bool:  # type: ignore[override]  # follows from a setting
        """Whether the output has a mask."""
        return self.mask_zero

    def build(self, input_shape: Shape | None = None) -> None:
        """Make the table."""
        self.weight("embeddings", (self.input_dim, self.output_dim), autocast=False)
        self._adapt_()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …) -> (B, …, output_dim)."""
        return (*input_shape, self.output_dim)

    def call(self, inputs: Tensor) -> Tensor:
        """Look up."""
        held: dict[str, Any] = vars(self)
        if self.quantization_mode is None:
            rows = kernels.embedding(inputs, self.embeddings)
        else:
            zero, block = held.get("embeddings_zero"), held.get("g_idx")
            width = self.output_dim if self.quantization_mode == "int4" else None
            rows = kernels.rows_of_integers(inputs, self.embeddings, held["embeddings_scale"], zero, block, width)
        pair = self._pair_()
        if pair:
            rows = rows + self._scale_() * kernels.embedding_product(inputs, pair[0], pair[1])
        return kernels.cast(rows, self.compute_dtype) if self._low_precision_ or pair else rows

    def _grid_(self, name: str) -> quantizable.Grid:
        return quantizable.grid_of(self._plain_[name].shape, 1)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        """Return where ids are not 0, None without ``mask_zero``."""
        if not self.mask_zero:
            return None
        return (inputs if isinstance(inputs, Symbol) else runtime.as_tensors(inputs)) != 0


del Embedding.weights  # an argument alone: the attribute is that of all layers


class ReversibleEmbedding(Embedding):
    """Look up rows of a table, or with ``reverse=True`` multiply by them: logits over all ids, (B, …, D) -> (B, …, input_dim).

    Example:
        >>> from anabranch import Input
        >>> layer = ReversibleEmbedding(1000, 16)
        >>> x = layer(Input((20,), dtype="int32"))
        >>> layer(x, reverse=True).shape
        (None, 20, 1000)
    """

    supports_masking = Embedding.supports_masking
    _quantizes_ = ("embeddings", "reverse_embeddings")
    _field_order_ = (
        "input_dim", "output_dim", "tie_weights", "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint",
        "mask_zero", "reverse_dtype", "logit_soft_cap",
    )  # fmt: skip

    tie_weights: fields.BooleanField = fields.boolean(
        default=True,
        doc="whether both ways have one table; else logits have a matrix (D, input_dim) of its own.",
        fixed=True,
    )
    reverse_dtype: fields.Field[str | None, str | None] = fields.choice(
        None, "float16", "bfloat16", "float32", "float64", default=None, doc="the float type of logits; None: the layer's."
    )
    logit_soft_cap: fields.Field[float | None, float | None] = fields.number(
        default=None, above=0, optional=True, doc="c, by which logits become c · tanh(logits / c); None: they stay."
    )

    reverse_embeddings: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape | None = None) -> None:
        """Make the table, or both."""
        super().build(input_shape)
        if not self.tie_weights:
            drawn = self.embeddings_initializer
            self.weight("reverse_embeddings", (self.output_dim, self.input_dim), axes=(1, 0), autocast=False, initializer=drawn)
            if self.quantization_mode is not None:
                self._hold_integers_("reverse_embeddings")

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        """(B, …) -> (B, …, output_dim), or (B, …, output_dim) -> (B, …, input_dim)."""
        if not reverse:
            return super().compute_output_shape(input_shape)
        if not input_shape or input_shape[-1] not in (None, self.output_dim):
            raise ShapeError("The last axis is that of the rows.", expected=f"(…, {self.output_dim})", got=str(input_shape))
        return (*input_shape[:-1], self.input_dim)

    def compute_output_spec(self, inputs: Symbol, reverse: bool = False) -> Spec:
        """Return shape and dtype of the rows, or of the logits."""
        shape = self.compute_output_shape(inputs.shape, reverse)
        return Spec(shape, (self.reverse_dtype if reverse else None) or self.compute_dtype)

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Look up, or multiply."""
        if not reverse:
            return super().call(inputs)
        quantized, table = self.quantization_mode is not None, self._adapted_(self.embeddings)
        if quantized:
            inputs = self._rounded_(inputs)
        if not self.tie_weights:
            name = "reverse_embeddings"
            table = self._native_(name, self._floats_(name)) if quantized else self.reverse_embeddings
        logits = kernels.linear_back(kernels.cast(inputs, self.reverse_dtype or self.compute_dtype), table)
        return logits if self.logit_soft_cap is None else kernels.soft_capped(logits, self.logit_soft_cap)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None, reverse: bool = False) -> Tensor | None:
        """Return where ids are not 0, None without ``mask_zero``; of vectors, with ``reverse``, the mask they have."""
        return mask if reverse else super().compute_mask(inputs, mask)

    def _grid_(self, name: str) -> quantizable.Grid:
        reverse = name == "reverse_embeddings"
        return quantizable.grid_of(self._plain_[name].shape, 0, packed=0) if reverse else super()._grid_(name)

    def _zero_dtype_(self, name: str) -> str:
        return self.dtype if name == "reverse_embeddings" else "int8"  # as in Keras's files

    def _activation_quantizer_(self) -> Quantizer | None:
        if self.quantization_config is not None:
            return super()._activation_quantizer_()
        from anabranch.quantizers import AbsMaxQuantizer

        return AbsMaxQuantizer()

    def _file_names_(self) -> Iterable[str]:
        reverse = "reverse_embeddings"
        return (*super()._file_names_(), reverse, f"{reverse}_scale", f"{reverse}_zero")
