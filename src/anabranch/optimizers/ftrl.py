"""FTRL-Proximal (McMahan et al. 2013): follow the regularized leader, for sparse linear models."""

from __future__ import annotations

from anabranch._fields import Field, number
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rate import LearningRate, RateLike, rate_field
from anabranch.optimizers.update import Lists, Number, chunks
from anabranch.optimizers.variables import Slot


class Ftrl(Optimizer):
    """Minimize all linearized losses so far and penalties (McMahan et al. 2013, Algorithm 1).

    With p the learning rate power: n' = n + g²; z ← z + g + 2 λₛ w - (n'⁻ᵖ - n⁻ᵖ) / lr · w; n ← n';
    w ← (clip(z, ±λ₁) - z) / (n⁻ᵖ / lr + 2 λ₂ + β / lr).

    Example:
        >>> Ftrl(0.1, l1_regularization_strength=0.01)
        Ftrl(learning_rate=0.1, l1_regularization_strength=0.01)
    """

    learning_rate: Field[RateLike, LearningRate] = rate_field(0.001)
    learning_rate_power: Field[float, float] = number(
        default=-0.5, most=0, doc="p, by which the rate falls with the sum of squares; 0 lets it be."
    )
    initial_accumulator_value: Field[float, float] = number(default=0.1, least=0, doc="what the sum of squares n begins with.")
    l1_regularization_strength: Field[float, float] = number(default=0.0, least=0, doc="λ₁, which makes weights 0.")
    l2_regularization_strength: Field[float, float] = number(default=0.0, least=0, doc="λ₂, which makes weights small.")
    l2_shrinkage_regularization_strength: Field[float, float] = number(
        default=0.0, least=0, doc="λₛ, a penalty on the loss rather than on the weights."
    )
    beta: Field[float, float] = number(default=0.0, doc="β of the paper, which lowers the rate.")

    @property
    def slots(self) -> dict[str, float]:
        """The sum of squares n, and z."""
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots: as Keras's optimizer has them."""
        return [[Slot("accumulator", "accumulator"), Slot("linear", "linear")]]

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place."""
        power = -self.learning_rate_power
        for weights, gradients, state, _ in chunks(lists):
            for w, g, n, z in zip(weights, gradients, state["accumulator"], state["linear"], strict=True):
                before = n**power
                after = n.addcmul_(g, g) ** power
                z.add_(g).add_(w, alpha=2 * self.l2_shrinkage_regularization_strength).sub_((after - before) / rate * w)
                limit = self.l1_regularization_strength
                w.copy_((z.clamp(-limit, limit) - z) / ((after + self.beta) / rate + 2 * self.l2_regularization_strength))
