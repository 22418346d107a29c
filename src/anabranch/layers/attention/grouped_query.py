"""Attention in which several heads of queries share a head of keys and values."""

from __future__ import annotations

from anabranch._errors import ArgumentError
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.attention.heads import Attending


class GroupQueryAttention(Attending):
    """Attend with several heads, groups of which share keys and values (Ainslie et al. 2023, §2.2).

    (B, T, Q) of queries, (B, S, V) of values and (B, S, K) of keys -> (B, T, Q).

    Example:
        >>> from anabranch import Input
        >>> x = Input((10, 16))
        >>> GroupQueryAttention(head_dim=8, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        (None, 10, 16)
    """

    _field_order_ = (
        "head_dim", "num_query_heads", "num_key_value_heads", "dropout", "use_bias", "sliding_window", "flash_attention",
        "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer",
        "kernel_constraint", "bias_constraint", "use_gate", "seed",
    )  # fmt: skip

    head_dim: fields.Field[int, int] = fields.integer(doc="the size of a query, a key and a value in each head.", fixed=True)
    num_query_heads: fields.Field[int, int] = fields.integer(doc="how many heads of queries there are.", fixed=True)
    num_key_value_heads: fields.Field[int, int] = fields.integer(
        doc="how many heads of keys and values there are, which divides that of queries.", fixed=True
    )

    @classmethod
    def _class_base_name_(cls) -> str:
        return "grouped_query_attention" if cls is GroupQueryAttention else super()._class_base_name_()

    def _check_(self) -> None:
        super()._check_()
        if self.num_query_heads % self.num_key_value_heads:
            raise ArgumentError(
                "num_key_value_heads must divide num_query_heads.",
                got=f"{self.num_key_value_heads} and {self.num_query_heads}", where=self._place_(),
            )  # fmt: skip

    def heads(self) -> tuple[int, int, int, int]:
        """Return how many heads queries and keys have, and the sizes of a key and of a value."""
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim

    def attended_axes(self, rank: int) -> tuple[int, ...]:
        """Return the axis of the positions."""
        return (1,)

    def compute_output_shape(  # type: ignore[override]  # of several inputs
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> Shape:
        """(B, T, Q) of queries, (B, S, …) of keys and values -> (B, T, Q)."""
        check_rank(query_shape, 3, "batch, positions, channels")
        return super().compute_output_shape(query_shape, value_shape, key_shape)
