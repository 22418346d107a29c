"""What a kind of optimizer says of its arithmetic: the state of a weight, the numbers of a step, the update."""

from __future__ import annotations

from typing import cast

from anabranch._frames import bound_methods
from anabranch.graph import Weight
from anabranch.optimizers.update import Lists, Number, Slots
from anabranch.optimizers.variables import Slot, Updating


@bound_methods
class Arithmetic:
    """What a subclass of Optimizer overrides. Abstract: a base of Optimizer."""

    by_element = True
    _joins_ = False

    @property
    def slots(self) -> Slots:
        """The names of the state of each weight, with its initial value; None for that of the weight."""
        return {}

    def slots_of(self, index: int) -> Slots:
        """Return the slots of one weight, where they are not the same for all.

        Args:
            index: which of ``weights``.

        Example:
            >>> from anabranch.optimizers import SGD
            >>> SGD(momentum=0.9).slots_of(0)
            {'descent': 0.0}
        """
        return self.slots

    def decay_of(self, weight: Weight) -> float | None:
        """Return the weight decay of one weight, unless it is excluded.

        Args:
            weight: one of ``weights``.

        Example:
            >>> from anabranch import layers, optimizers
            >>> optimizers.Optimizer(0.1, weight_decay=0.5).decay_of(layers.Layer().add_weight((2,)))
            0.5
        """
        found: float | None = cast("Updating", self).weight_decay
        return found

    def _shown_slots_(self) -> list[list[Slot]]:
        """Return how ``variables`` shows the slots, in groups; in none, as they are.

        Example:
            >>> from anabranch import optimizers
            >>> optimizers.Optimizer(0.1)._shown_slots_()
            []
        """
        return []

    def step_size(self, learning_rate: float, step: int) -> float:
        """Return what ``update_weights`` is given as the rate of an update.

        Args:
            learning_rate: the learning rate of the update.
            step: which update it is, counted from 1.

        Example:
            >>> from anabranch import optimizers
            >>> optimizers.Optimizer(0.1).step_size(0.1, step=1)
            0.1
        """
        return learning_rate

    def further_numbers(self, learning_rate: float, step: int) -> tuple[float, ...]:
        """Return what else ``update_weights`` follows from the count of updates: it reads these as ``further``.

        Args:
            learning_rate: the learning rate of the update.
            step: which update it is, counted from 1.

        Example:
            >>> from anabranch import optimizers
            >>> optimizers.Optimizer(0.1).further_numbers(0.1, step=1)
            ()
        """
        return ()

    @property
    def further(self) -> tuple[Number, ...]:
        """The ``further_numbers`` of the update that runs: floats, or tensors as ``rate`` is."""
        return cast("Updating", self)._numbers_.further

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update weights in place.

        Args:
            lists: weights of one dtype and device, their gradients, and ``state``, a list for each of ``slots``.
            rate: what ``step_size`` returned: a float, or a scalar tensor where the update is captured as a CUDA graph.

        Example:
            >>> import torch
            >>> from anabranch.optimizers import SGD, update
            >>> weights, gradients = [torch.ones(2)], [torch.ones(2)]
            >>> SGD(0.5).update_weights(update.Lists(weights, gradients, {}), 0.5)
            >>> weights
            [tensor([0.5000, 0.5000])]
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update_weights(lists, rate) or update_step(gradient, variable, learning_rate)"
        )
