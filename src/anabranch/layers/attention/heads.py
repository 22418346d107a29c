"""What attention with heads has in common: projections, masks, and the mean of values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anabranch import config, runtime
from anabranch._arguments import to_boolean
from anabranch._errors import ArgumentError, ShapeError
from anabranch._fields import Field
from anabranch.graph import Shape, Spec
from anabranch.graph.shapes import same
from anabranch.layers import fields
from anabranch.layers.attention.placing import Placing
from anabranch.layers.einsum_dense import EinsumDense
from anabranch.layers.regularization import Drawing
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.config import DTypePolicy
    from anabranch.graph import Tensor as Symbol
    from anabranch.runtime import Tensor

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OF_PROJECTIONS = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")


class Attending(Drawing):
    """Attention with heads: projections of queries, keys and values, means of values, and a projection of these. Abstract."""

    _takes_integers_ = False
    supports_masking = True

    dropout: fields.NumberField = fields.number(
        default=0.0, kw_only=True, least=0, most=1, doc="the fraction of attention weights that are dropped while training."
    )
    use_bias: fields.BooleanField = fields.boolean(
        default=True, kw_only=True, doc="whether projections add a bias.", fixed=True
    )
    sliding_window: fields.Field[int | None, int | None] = fields.integer(
        default=None, kw_only=True, optional=True, doc="w: a query attends to keys fewer than w positions away; None: to all."
    )
    flash_attention: fields.Field[bool | None, bool | None] = fields.field(
        default=None, kw_only=True, hidden=True,
        doc="torch chooses the fastest kernel that does what is asked; True refuses dropout and attention scores, which rule "
        "flash attention out. None: ``config.is_flash_attention_enabled()``.",
    )  # fmt: skip
    kernel_initializer: fields.InitializerField = fields.initializer(
        default="glorot_uniform", kw_only=True, doc="of their kernels."
    )
    bias_initializer: fields.InitializerField = fields.initializer(default="zeros", kw_only=True, doc="of their biases.")
    kernel_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    bias_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)  # type: ignore[override]
    kernel_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    bias_constraint: fields.ConstraintField = fields.constraint(default=None, kw_only=True)
    use_gate: fields.BooleanField = fields.boolean(
        default=False, kw_only=True, fixed=True,
        doc="whether what each head gives is multiplied by a sigmoid of the query (Qiu et al. 2025, arXiv:2505.06708).",
    )  # fmt: skip

    _query_dense: EinsumDense = fields.state(init=False)
    _key_dense: EinsumDense = fields.state(init=False)
    _gate_dense: EinsumDense | None = fields.state(init=False)
    _value_dense: EinsumDense = fields.state(init=False)
    _output_dense: EinsumDense = fields.state(init=False)
    placing: Placing = fields.state(init=False)
    _pair_rank: int | None = fields.state(init=False)  # of masks of pairs so far; 0 where they had several

    def _check_(self) -> None:
        if self.dropout and self._is_flash():
            raise ArgumentError("Flash attention has no dropout.", got=f"dropout={self.dropout}", where=self._place_())

    def _is_flash(self) -> bool:
        return config.is_flash_attention_enabled() if self.flash_attention is None else self.flash_attention

    def _take_policy_(self, policy: DTypePolicy) -> None:
        super()._take_policy_(policy)
        for layer in self._sublayers_():
            layer.dtype_policy = policy

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        super()._changing_(changed, value)
        if changed.name in _OF_PROJECTIONS:
            for layer in self._sublayers_():
                if layer is not self._output_dense or changed.name != "activity_regularizer":
                    setattr(layer, changed.name, value)

    def heads(self) -> tuple[int, int, int, int]:
        """Return how many heads queries and keys have, and the sizes of a key and of a value."""
        raise NotImplementedError

    def output_sizes(self, query_shape: Shape) -> Shape:
        """Return the sizes in the place of the query's channels."""
        return query_shape[-1:]

    def attended_axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes of a ``rank``-D input whose positions attend to each other."""
        return tuple(range(1, rank - 1))

    def build(  # type: ignore[override]  # of several inputs
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        """Make the projections, each of which has a kernel and a bias."""
        key_shape = value_shape if key_shape is None else key_shape
        self.compute_output_shape(query_shape, value_shape, key_shape)
        heads, groups, key_size, value_size = self.heads()
        rank = len(query_shape)
        self.placing = self._placing(rank)
        self._query_dense = self._projection("query", query_shape, (heads, key_size))
        self._key_dense = self._projection("key", key_shape, (groups, key_size))
        if self.use_gate:
            self._gate_dense = self._projection("gate", query_shape, (heads, value_size), activation="sigmoid")
        self._value_dense = self._projection("value", value_shape, (groups, value_size))
        joined = (*query_shape[:-1], heads, value_size)
        self._output_dense = self._projection("attention_output", joined, self.output_sizes(query_shape), contracted=2)

    def _projection(
        self, name: str, shape: Shape, sizes: Shape, contracted: int = 1, activation: str | None = None
    ) -> EinsumDense:
        free = len(shape) - contracted
        rows, summed = _LETTERS[:free], _LETTERS[free : free + contracted]
        result = _LETTERS[free + contracted :][: len(sizes)]
        layer = EinsumDense(
            f"{rows}{summed},{summed}{result}->{rows}{result}",
            (*(None,) * (free - 1), *sizes),
            activation=activation,
            bias_axes=result if self.use_bias else None,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            # That of the last is this layer's own, as its output is.
            activity_regularizer=None if contracted > 1 else self.activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer

    def compute_output_shape(  # type: ignore[override]  # of several inputs
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> Shape:
        """(B, T, …) of queries, (B, S, …) of keys and values -> (B, T, …)."""
        key_shape = value_shape if key_shape is None else key_shape
        if not same(value_shape[1:-1], key_shape[1:-1]):
            raise ShapeError(
                "There is one value for each key.", expected="equal sizes of value and key, but for the last axis",
                got=f"{value_shape} and {key_shape}",
            )  # fmt: skip
        for name, shape in (("query", query_shape), ("value", value_shape)):
            if len(shape) < 3 or len(shape) != len(query_shape):
                raise ShapeError(
                    f"The {name} of {type(self).__name__} has no positions to attend to."
                    if len(shape) < 3
                    else "Query and value have different ranks.",
                    expected="(batch, positions, …, channels)", got=f"query {query_shape}, value {value_shape}",
                )  # fmt: skip
        self.attended_axes(len(query_shape))
        return (*query_shape[:-1], *self.output_sizes(query_shape))

    def compute_output_spec(
        self, query: Symbol, value: Symbol, key: Symbol | None = None, query_mask: Symbol | None = None,
        value_mask: Symbol | None = None, key_mask: Symbol | None = None, attention_mask: Symbol | None = None,
        return_attention_scores: bool = False, training: bool | None = None, use_causal_mask: bool = False,
    ) -> Spec | tuple[Spec, Spec]:  # fmt: skip
        """Return shape and dtype of the output, and of the scores where they are asked for."""
        self._check_call_options(len(query.shape), return_attention_scores, use_causal_mask)
        shape = self.compute_output_shape(query.shape, value.shape, None if key is None else key.shape)
        output = Spec(shape, self.compute_dtype)
        if not return_attention_scores:
            return output
        placing = self._placing(len(query.shape))
        pairs = [x.shape[axis] for x in (query, value) for axis in placing.attended]
        scores = (*(query.shape[axis] for axis in placing.apart), self.heads()[0], *pairs)
        return output, Spec(scores, self.compute_dtype)

    def _placing(self, rank: int) -> Placing:
        return Placing(rank, self.attended_axes(rank))

    def _rank_of(self, mask: Tensor) -> int:
        """Return how many axes a mask of pairs has: of one that a user's ``call`` makes while it is traced, as when it ran."""
        found = runtime.mask_rank(mask)
        if found is not None:
            self._pair_rank = found if self._pair_rank in (None, found) else 0
        return found or self._pair_rank or runtime.rank_of(mask)

    def _check_call_options(self, rank: int, return_attention_scores: bool, use_causal_mask: bool) -> None:
        """Raise where a call asks for what does not go together."""
        to_boolean(return_attention_scores, "return_attention_scores", self)
        to_boolean(use_causal_mask, "use_causal_mask", self)
        if return_attention_scores and self._is_flash():
            raise ArgumentError("Flash attention has no attention scores.", got="return_attention_scores=True")
        if (use_causal_mask or self.sliding_window) and len(self.attended_axes(rank)) > 1:
            raise ArgumentError(
                "Positions of several axes have no order, which a causal mask or a sliding window needs.",
                got=f"attention over axes {self.attended_axes(rank)}",
            )

    def call(
        self, query: Tensor, value: Tensor, key: Tensor | None = None, query_mask: Tensor | None = None,
        value_mask: Tensor | None = None, key_mask: Tensor | None = None, attention_mask: Tensor | None = None,
        return_attention_scores: bool = False, training: bool | None = None, use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
        """Attend."""
        placing = self.placing
        self._check_call_options(placing.rank, return_attention_scores, use_causal_mask)
        gate = None if self._gate_dense is None else self._gate_dense(query)
        queries, keys, values = (
            self._query_dense(query),
            self._key_dense(value if key is None else key),
            self._value_dense(value),
        )
        if key is not None and key is not value:  # as many as the keys, or torch reads others, from beyond the values
            rank = placing.rank + 1
            values = values.reshape(*runtime.sizes(keys, rank)[:-1], runtime.sizes(values, rank)[-1])
        q, k, v = map(placing.heads_first, (queries, keys, values))
        repeats = self.heads()[0] // self.heads()[1]
        if repeats > 1:
            k, v = (x.repeat_interleave(repeats, -3) for x in (k, v))
        masks = [None if mask is None else placing.positions(mask, x) for mask, x in (
            (query_mask, queries), (value_mask, values), (key_mask, keys),
        )]  # fmt: skip
        pairs = None
        if attention_mask is not None:
            pairs = placing.pairs(attention_mask, self._rank_of(attention_mask), queries, keys)
        mask = kernels.pair_mask(
            rows=masks[0],
            columns=masks[1:],
            pairs=pairs,
            band=kernels.within(q, k, self.sliding_window) if self.sliding_window else None,
        )
        noise = kernels.Noise(self.dropout, self.generator()) if training and self.dropout else kernels.NO_NOISE
        scale, scores = 1 / math.sqrt(self.heads()[2]), None
        if return_attention_scores:
            scores = kernels.softmax_scores(q, k, mask=mask, causal=use_causal_mask, scale=scale)
            result = kernels.attend_by(scores, v, noise)
        else:
            result = kernels.attend(q, k, v, mask=mask, causal=use_causal_mask, scale=scale, noise=noise)
        result = placing.heads_last(result, queries)
        output = self._output_dense(result if gate is None else result * gate)
        return output if scores is None else (output, placing.scores(scores, queries, keys))
