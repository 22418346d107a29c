"""LoRA: a kernel stays as it is, and a product of two small matrices, which are trained, is added to it (Hu et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

from anabranch import initializers
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, NotReadyError
from anabranch.graph import Weight
from anabranch.graph.weight import in_file_order
from anabranch.layers import fields
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


def rank() -> Any:
    """Declare ``lora_rank``."""
    made = fields.integer(default=None, optional=True, doc="the rank of what LoRA adds; None: nothing.", fixed=True)
    made.shown_if_set = True
    return made


def alpha() -> Any:
    """Declare ``lora_alpha``."""
    made = fields.number(default=None, optional=True, doc="LoRA adds its product times this by the rank; None: the rank.")
    made.shown_if_set = True
    return made


class LowRank(fields.FieldLayer):
    """A layer that may add lora_alpha / lora_rank · A · B to its kernel (…, O), A (…, rank) and B (rank, O). Abstract."""

    _adapts_: ClassVar[str] = "kernel"  # the weight that LoRA adds to
    _writes_variables_ = False  # a layer does once it has LoRA: its kernel then is another in files
    if TYPE_CHECKING:
        lora_rank, lora_alpha = rank(), alpha()  # fields of each subclass, at their places among the others
        activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)

    def _check_(self) -> None:
        if self.lora_rank is not None and self.lora_alpha is None:
            vars(self)[":lora_alpha"] = self.lora_rank
        if self.lora_rank is not None and getattr(self, f"{self._adapts_}_constraint") is not None:
            raise self._constrained_()

    def _constrained_(self) -> ArgumentError:
        name = f"{self._adapts_}_constraint"
        return ArgumentError(
            f"LoRA goes with no {name}, which would hold of a part of the sum.", got=shown(getattr(self, name))
        )

    @property
    def lora_enabled(self) -> bool:
        """Whether LoRA adds to the kernel."""
        return bool(self._pair_())

    def _pair_(self) -> tuple[Weight, ...]:
        """Return A and B, nothing without LoRA."""
        held = vars(self)
        pair = (held.get(f":lora_{self._adapts_}_a"), held.get(f":lora_{self._adapts_}_b"))
        return tuple(each for each in pair if isinstance(each, Weight))

    def _scale_(self) -> float:
        return (self.lora_alpha or 0.0) / (self.lora_rank or 1)

    def _whole_shape_(self) -> tuple[int, ...]:
        """Return the shape of the matrix that LoRA adds to."""
        kernel: Weight = vars(self)[f":{self._adapts_}"]
        return kernel.shape

    def _adapt_(self) -> None:
        """Enable LoRA where a setting asks for it; the end of ``build``."""
        if self.lora_rank is not None and not self.lora_enabled:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def _adapted_(self, kernel: Weight) -> Weight | Tensor:
        """Return the kernel, with what LoRA adds to it."""
        pair = self._pair_()
        return kernels.with_product(kernel, pair[0], pair[1], self._scale_()) if pair else kernel

    @checked
    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: initializers.InitializerLike = "he_uniform",
        b_initializer: initializers.InitializerLike = "zeros",
    ) -> None:
        """Freeze the kernel and train a product of two small matrices that is added to it (Hu et al. 2021).

        Files hold the sum, as Keras's do.

        Args:
            rank: the inner size of the product.
            lora_alpha: the product is multiplied by this divided by ``rank``; None: by 1.
            a_initializer: of the first matrix.
            b_initializer: of the second; zeros leave the layer's output as it was.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(8)
            >>> layer.build((None, 16))
            >>> layer.enable_lora(2)
            >>> [(weight.name, weight.shape) for weight in layer.trainable_weights]
            [('bias', (8,)), ('lora_kernel_a', (16, 2)), ('lora_kernel_b', (2, 8))]
        """
        name = self._adapts_
        kernel = vars(self).get(f":{name}")
        if getattr(self, f"{name}_constraint") is not None:
            raise self._constrained_().at(self._described_())
        if not isinstance(kernel, Weight):
            raise NotReadyError(
                f"{self._described_()} has no {name} yet, to which LoRA would add.", repair="layer.build(input_shape) first"
            )
        if self.lora_enabled:
            raise ArgumentError(f"{self._described_()} has LoRA already.", got=f"rank {rank} besides {self.lora_rank}")
        if rank < 1:
            raise ArgumentError("The rank of LoRA is an integer ≥ 1.", got=str(rank), where=self._described_())
        penalty, whole = getattr(self, f"{name}_regularizer"), self._whole_shape_()
        for part, shape, drawn in (
            ("a", (*whole[:-1], rank), a_initializer), ("b", (rank, whole[-1]), b_initializer),
        ):  # fmt: skip
            made = self.add_weight(shape, drawn, "float32", regularizer=penalty, name=f"lora_{name}_{part}")
            vars(self)[f":lora_{name}_{part}"] = made
        kernel.trainable = False
        vars(self).update(
            {":lora_rank": rank, ":lora_alpha": rank if lora_alpha is None else lora_alpha, "_writes_variables_": True}
        )
        self._note_change_()

    def _merge_lora_(self) -> None:
        """Add the product to the kernel for good, and train it again."""
        kernel = vars(self)[f":{self._adapts_}"]
        kernel.assign(self._merged_(kernel))
        self._drop_pair_()
        kernel.trainable = True
        self._note_change_()

    def _drop_pair_(self) -> None:
        pair = self._pair_()
        self._weights_ = tuple(weight for weight in self._weights_ if all(weight is not each for each in pair))
        for key in (*(f":{each.name}" for each in pair), ":lora_rank", ":lora_alpha", "_writes_variables_"):
            vars(self).pop(key, None)

    def _merged_(self, kernel: Weight) -> Any:
        """Return the kernel's values with what LoRA adds."""
        first, second = (each.numpy() for each in self._pair_())
        return kernel.numpy() + (self._scale_() * (first @ second)).astype(kernel.numpy().dtype)

    def _in_files_(self) -> list[Weight]:
        pair = self._pair_()
        return [weight for weight in in_file_order(self._own_weights_()) if all(weight is not each for each in pair)]

    def save_own_variables(self, store: MutableMapping[str, object]) -> None:
        """Put the layer's weights into ``store``, the kernel with what LoRA adds to it, as Keras does."""
        if not self.lora_enabled:
            super().save_own_variables(store)
            return
        for index, weight in enumerate(self._in_files_()):
            adapted = weight is vars(self)[f":{self._adapts_}"]
            store[str(index)] = self._merged_(weight) if adapted else weight.numpy()

    def load_own_variables(self, store: Mapping[str, object]) -> None:
        """Take the layer's weights from ``store``; what LoRA adds is nothing then, and trained from there on."""
        if not self.lora_enabled:
            super().load_own_variables(store)
        else:
            self._take_files_(store)

    def _take_files_(self, store: Mapping[str, object]) -> None:
        mine = self._in_files_()
        if set(store) != {str(index) for index in range(len(mine))}:
            raise ArgumentError(
                f"The file has {len(store)} arrays of {self._described_()}, which keeps {len(mine)} in files.",
                got=", ".join(map(str, store))[:200],
            )
        for index, weight in enumerate(mine):
            weight.assign(store[str(index)])
        for second in self._pair_()[1:]:
            second.assign([[0.0] * second.shape[1]] * second.shape[0])
