"""Attention without heads and projections: what queries and keys have in common weighs the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from anabranch import initializers
from anabranch._arguments import to_boolean
from anabranch._asked import has_shape
from anabranch._errors import ArgumentTypeError, ShapeError
from anabranch.graph import Shape, Spec, Weight
from anabranch.graph.shapes import broadcast, same, stretches
from anabranch.layers import fields
from anabranch.layers.regularization import Drawing
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.graph import Tensor as Symbol
    from anabranch.runtime import Tensor

Masks: TypeAlias = "Sequence[Tensor | None]"


class Weighing(Drawing):
    """Means of values by a softmax over their keys, for each query. Abstract."""

    _rule_checks_values_ = True

    _takes_integers_ = False
    supports_masking = True

    dropout: fields.NumberField = fields.number(
        default=0.0, least=0, most=1, doc="the fraction of attention weights that are dropped while training.", kw_only=True
    )

    scale: Weight = fields.weight_state(init=False)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """(B, T, …) of queries, (B, S, V) of values and (B, S, …) of keys -> (B, T, V)."""
        if not 2 <= len(input_shape) <= 3 or not all(isinstance(shape, (tuple, list)) for shape in input_shape):
            raise ShapeError(
                f"{type(self).__name__} takes a list of queries, values and, where they are not the values, keys.",
                expected="[query, value] or [query, value, key]", got=str(input_shape),
            )  # fmt: skip
        query, value, key = map(tuple, (*input_shape, input_shape[1])[:3])
        if min(map(len, (query, value, key))) < 2:
            raise ShapeError("Queries, values and keys have positions and channels.", got=f"{query}, {value} and {key}")
        if not same(value[:-1], key[:-1]):
            raise ShapeError("There is one value for each key.", got=f"{value} and {key}")
        if not same(query[-1:], key[-1:]):
            raise ShapeError("Queries and keys have one number of channels.", got=f"{query} and {key}")
        return (*broadcast(query[:-2], value[:-2]), query[-2], value[-1])

    def compute_output_spec(
        self, inputs: Sequence[Symbol], mask: Sequence[Symbol | None] | None = None, training: bool | None = None,
        return_attention_scores: bool = False, use_causal_mask: bool = False,
    ) -> Spec | tuple[Spec, Spec]:  # fmt: skip
        """Return shape and dtype of the output, and of the scores where they are asked for."""
        if has_shape(inputs):
            raise ArgumentTypeError(
                f"{type(self).__name__} takes a list of tensors.", expected="[query, value] or [query, value, key]",
                got=f"a tensor {inputs.shape}",
            )  # fmt: skip
        to_boolean(return_attention_scores, "return_attention_scores", self)
        to_boolean(use_causal_mask, "use_causal_mask", self)
        shapes = [x.shape for x in inputs]
        output = Spec(self.compute_output_shape(shapes), self.compute_dtype)
        for name, given, shape in zip(("queries", "values"), mask or (), shapes, strict=False):
            if has_shape(given) and stretches(tuple(given.shape), shape[:-1]):
                raise ShapeError(f"A mask of {name} has one value for each.", expected=str(shape[:-1]), got=str(given.shape))
        return (output, Spec((*output.shape[:-1], shapes[1][-2]), self.compute_dtype)) if return_attention_scores else output

    def call(
        self, inputs: Sequence[Tensor], mask: Masks | None = None, training: bool = False,
        return_attention_scores: bool = False, use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
        """Attend."""
        query, value, key = (*inputs, inputs[1])[:3]
        rows, columns = (None if each is None else kernels.truth(each) for each in (*(mask or ()), None, None)[:2])
        seen = None if columns is None else columns.unsqueeze(-2)
        noise = kernels.Noise(self.dropout, self.generator()) if training and self.dropout else kernels.NO_NOISE
        scores = None
        if return_attention_scores or not self.is_product():
            before = kernels.earlier(query, key) if use_causal_mask else None
            scores = kernels.dropped(kernels.masked_scores(self.logits(query, key), seen, before), noise)
            result = kernels.attend_by(scores, value, kernels.NO_NOISE)
        else:
            result = kernels.attend_single(self.scaled(query), key, value, mask=seen, causal=use_causal_mask, noise=noise)
        result = result if rows is None else kernels.keep(result, rows)
        return (result, scores) if return_attention_scores and scores is not None else result

    def is_product(self) -> bool:
        """Return whether scores are the products of queries and keys, which one kernel of torch's computes with the rest."""
        return False

    def scaled(self, query: Tensor) -> Tensor:
        """Return the queries, by which keys are multiplied."""
        return query if self.scale is None else kernels.times(query, self.scale)

    def logits(self, query: Tensor, key: Tensor) -> Tensor:
        """Return what queries and keys have in common: (…, T, S)."""
        raise NotImplementedError

    def compute_mask(self, inputs: Sequence[Tensor], mask: Masks | None = None) -> Tensor | None:
        """Return the mask of the queries."""
        return mask[0] if mask else None

    def _makes_mask_(self) -> bool:
        """Return False: there is no mask where no input has one."""
        return False


class Attention(Weighing):
    """Attend by products of queries and keys: softmax(q · kᵀ) · v, called on [query, value] or [query, value, key].

    (B, T, D) of queries, (B, S, V) of values and (B, S, D) of keys -> (B, T, V); without keys, the values are the keys.
    ``score_mode="concat"``: w · Σ tanh(q + k) in the place of the products (Luong et al. 2015, §3.1).

    Example:
        >>> from anabranch import Input
        >>> Attention()([Input((4, 8)), Input((6, 8))]).shape
        (None, 4, 8)
    """

    _field_order_ = ("use_scale", "score_mode", "dropout", "seed")

    use_scale: fields.BooleanField = fields.boolean(
        default=False, doc='whether a trained factor scales the scores, or with "concat" what goes into tanh.', fixed=True
    )
    score_mode: fields.Field[str, str] = fields.choice(
        "dot", "concat", default="dot", doc='"dot" (products) or "concat" (the sum of tanh of the sum).', fixed=True
    )

    concat_score_weight: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Make the factors."""
        self.compute_output_shape(input_shape)
        if self.use_scale:
            self.weight("scale", (), initializer=initializers.Ones())
        if self.score_mode == "concat":
            self.weight("concat_score_weight", (), initializer=initializers.Ones())

    def is_product(self) -> bool:
        """Return whether scores are the products of queries and keys."""
        return self.score_mode == "dot"

    def logits(self, query: Tensor, key: Tensor) -> Tensor:
        """Return what queries and keys have in common: (…, T, S)."""
        if self.is_product():
            return kernels.products(self.scaled(query), key)
        return kernels.times(kernels.summed_tanh(query, key, inside=self.scale), self.concat_score_weight)


class AdditiveAttention(Weighing):
    """Attend by sums: softmax(Σ scale · tanh(q + k)) · v, called on [query, value] or [query, value, key].

    (B, T, D) of queries, (B, S, V) of values and (B, S, D) of keys -> (B, T, V); without keys, the values are the keys
    (Bahdanau et al. 2015, §3.1).

    Example:
        >>> from anabranch import Input
        >>> AdditiveAttention()([Input((4, 8)), Input((6, 8))]).shape
        (None, 4, 8)
    """

    _field_order_ = ("use_scale", "dropout", "seed")

    use_scale: fields.BooleanField = fields.boolean(
        default=True, doc="whether a trained factor for each channel scales the tanh.", fixed=True
    )

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Make the factors."""
        self.compute_output_shape(input_shape)
        if self.use_scale:
            channels = input_shape[0][-1]
            if channels is None:
                raise ShapeError("The number of channels must be known: there is a factor for each.", got=str(input_shape[0]))
            self.weight("scale", (channels,), initializer=initializers.GlorotUniform())

    def logits(self, query: Tensor, key: Tensor) -> Tensor:
        """Return what queries and keys have in common: (…, T, S)."""
        return kernels.summed_tanh(query, key, outside=self.scale)
