"""Attention in which each head has queries, keys and values of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.graph.shapes import normalise_axis, to_shape
from anabranch.layers import fields
from anabranch.layers.attention.heads import Attending
from anabranch.layers.einsum_dense import EinsumDense


def _sizes(value: int | Sequence[int] | None, owner: object, name: str) -> Shape | None:
    return to_shape((value,) if isinstance(value, int) else value, name) if value else None


def _axes(value: int | Sequence[int] | None, owner: object, name: str) -> tuple[int, ...] | None:
    return (value,) if isinstance(value, int) else None if value is None else tuple(value)


class MultiHeadAttention(Attending):
    """Attend with several heads: softmax(q · kᵀ / √key_dim) · v for each, then a projection (Vaswani et al. 2017, §3.2.2).

    (B, T, Q) of queries, (B, S, V) of values and (B, S, K) of keys -> (B, T, Q).

    Example:
        >>> from anabranch import Input
        >>> x = Input((10, 16))
        >>> MultiHeadAttention(num_heads=2, key_dim=8)(x, x, use_causal_mask=True).shape
        (None, 10, 16)
    """

    _field_order_ = (
        "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "output_shape", "attention_axes", "sliding_window",
        "flash_attention",
    )  # fmt: skip

    num_heads: fields.Field[int, int] = fields.integer(doc="how many heads there are.", fixed=True)
    key_dim: fields.Field[int, int] = fields.integer(doc="the size of a query and of a key in each head.", fixed=True)
    value_dim: fields.Field[int | None, int] = fields.integer(
        default=None, optional=True, doc="the size of a value in each head; None: ``key_dim``.", fixed=True
    )
    output_shape: fields.Field[int | Sequence[int] | None, Shape | None] = fields.field(
        default=None, convert=_sizes, plain=fields.listed, fixed=True,
        doc="the sizes in the place of the query's channels; None: as many channels.",
    )  # fmt: skip
    attention_axes: fields.Field[int | Sequence[int] | None, tuple[int, ...] | None] = fields.field(
        default=None, convert=_axes, plain=fields.listed, fixed=True,
        doc="the axes whose positions attend to each other; None: all but the batch and the channels.",
    )  # fmt: skip

    def _check_(self) -> None:
        super()._check_()
        if self.value_dim is None:
            self.__dict__[":value_dim"] = self.key_dim

    def build(  # type: ignore[override]  # of several inputs
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        """Make the projections, each of which has a kernel and a bias."""
        super().build(query_shape, value_shape, key_shape)
        self.__dict__[":attention_axes"] = self.placing.attended  # those of every later call too

    @property
    def query_dense(self) -> EinsumDense:
        """The projection of queries."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The projection of keys."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The projection of values."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """The projection of what the heads give."""
        return self._output_dense

    def _held_attributes_(self) -> list[tuple[str, Any]]:
        """Return the attributes that hold layers: the projections under the public names, as in Keras's files."""
        public = ("_query_dense", "_key_dense", "_value_dense", "_output_dense")
        return [(name.removeprefix("_") if name in public else name, value) for name, value in super()._held_attributes_()]

    def heads(self) -> tuple[int, int, int, int]:
        """Return how many heads queries and keys have, and the sizes of a key and of a value."""
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def output_sizes(self, query_shape: Shape) -> Shape:
        """Return the sizes in the place of the query's channels."""
        return self.output_shape or query_shape[-1:]

    def attended_axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes of a ``rank``-D input whose positions attend to each other."""
        if self.attention_axes is None:
            return super().attended_axes(rank)
        found = tuple(normalise_axis(axis, rank) for axis in self.attention_axes)
        if len(set(found)) < len(found) or not set(found) <= set(range(1, rank - 1)) or not found:
            raise ArgumentError(
                "attention_axes are some of those between the batch and the channels.", expected=f"axes from 1 to {rank - 2}",
                got=str(self.attention_axes),
            )  # fmt: skip
        return found
