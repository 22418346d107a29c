"""What is known before training starts: the losses of a model's outputs, and whether data fit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anabranch._errors import AnabranchError
from anabranch.losses import Loss
from anabranch.losses.loss import setting_of
from anabranch.training.data.binder import ModelBinder
from anabranch.training.objective import need_compiled
from anabranch.training.trainable import Trainable, has_custom_step


class LossFacts(NamedTuple):
    """What lint asks of a loss: its name, what its targets are, whether it takes logits, the axis of the classes."""

    name: str
    labels: str
    from_logits: bool
    axis: int


def known_losses(model: Trainable) -> Sequence[LossFacts | None] | None:
    """Return the loss of each output; None before ``compile``, and where a user's own step decides what is minimized."""
    compiled = model._compiled_
    if compiled is None or model._graph_ is None or has_custom_step(model):
        return None
    return [None if loss is None else _facts_of(loss) for loss in compiled.bind(model).losses]


def _facts_of(loss: Loss) -> LossFacts:
    axis = setting_of(loss, "axis")
    return LossFacts(loss.name, loss._labels_, bool(setting_of(loss, "from_logits")), axis if isinstance(axis, int) else -1)


def refusals(model: Trainable, x: object, y: object) -> list[AnabranchError]:
    """Return the errors with which ``fit`` would refuse data."""
    compiled = need_compiled(model, "lint of targets")
    binder = ModelBinder(model, compiled.bind(model).targets, model._training_strategy_)
    try:
        if x is not None:
            binder.bind(x, y, None)
        else:
            binder.bind_targets(y, [])
    except AnabranchError as error:
        return [error]
    return []
