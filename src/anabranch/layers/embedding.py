"""Tables of vectors, one for each id."""

from __future__ import annotations

from typing import Any

from anabranch import initializers, regularizers, runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import Shape, Tensor
from anabranch.layers.base import Layer
from anabranch.layers.core import whole
from anabranch.ops import _kernels as kernels


class Embedding(Layer):
    """The row of a table (input_dim, output_dim) for each whole number: (B, …) -> (B, …, output_dim).

    ``mask_zero``: 0 is padding; the output's mask is false there, and ``input_dim`` counts it.
    """

    takes_one_tensor = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # Keras 2's
        super().__init__(**kwargs)
        if lora_rank is not None:
            raise ArgumentError("lora_rank is not there yet.", where=str(self.made_at))
        self.input_dim = whole("input_dim", input_dim, self)
        self.output_dim = whole("output_dim", output_dim, self)
        self.embeddings_initializer = initializers.get(embeddings_initializer if weights is None else self._given(weights))
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint, self.mask_zero = embeddings_constraint, mask_zero
        self.supports_masking = bool(mask_zero)
        self.autocast = False
        self.embeddings: Any = None
        if weights is not None:
            self.build()

    def _given(self, weights: Any) -> initializers.Constant:
        table = weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
        if tuple(getattr(table, "shape", ())) != (self.input_dim, self.output_dim):
            raise ShapeError(
                "The table given as weights has another shape.", expected=f"an array {(self.input_dim, self.output_dim)}",
                got=str(getattr(table, "shape", repr(table)[:80])), where=str(self.made_at),
            )  # fmt: skip
        return initializers.Constant(table)

    def build(self, input_shape: Shape | None = None) -> None:
        """Make the table."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, name="embeddings",
            regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint, autocast=False,
        )  # fmt: skip
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments without ``weights``: those are kept with the other weights."""
        return {name: value for name, value in super().get_config().items() if name != "weights"}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …) -> (B, …, output_dim)."""
        return (*input_shape, self.output_dim)

    def call(self, inputs: Any) -> Any:
        """Look up."""
        rows = kernels.embedding(inputs, self.embeddings)
        return kernels.cast(rows, self.compute_dtype) if self.low_precision else rows  # the rows, rather than all of the table

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where ids are not 0, None without ``mask_zero``."""
        if not self.mask_zero:
            return None
        return (inputs if isinstance(inputs, Tensor) else runtime.as_tensors(inputs)) != 0
