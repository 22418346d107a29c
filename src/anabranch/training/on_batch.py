"""``train_on_batch``, ``test_on_batch``, ``predict_on_batch``: one batch, given as arrays."""

from __future__ import annotations

from anabranch import _tree
from anabranch.training.arguments import boolean
from anabranch.training.evaluating import in_order
from anabranch.training.logs import Reported
from anabranch.training.predictions import numpy
from anabranch.training.preparation import located, objective_for, prediction_for
from anabranch.training.trainable import Trainable


@located
def train_on_batch(
    model: Trainable, x: object, y: object, sample_weight: object, class_weight: object, return_dict: bool
) -> Reported:
    """Take one training step and return loss and metrics of this batch, as ``Model.train_on_batch`` does."""
    model.training_strategy.check()
    return _on_batch(model, (x, y, sample_weight), "train_on_batch", class_weight, return_dict)


@located
def test_on_batch(model: Trainable, x: object, y: object, sample_weight: object, return_dict: bool) -> Reported:
    """Return loss and metrics of one batch, as ``Model.test_on_batch`` does."""
    return _on_batch(model, (x, y, sample_weight), "test_on_batch", None, return_dict)


def _on_batch(
    model: Trainable, data: tuple[object, object, object], use: str, class_weight: object, return_dict: bool
) -> Reported:
    x, y, sample_weight = data
    as_dict = boolean(return_dict, "return_dict")
    objective, x = objective_for(model, x, use)
    binder = objective.binder(class_weight)
    objective.reset()
    objective.step(training=use == "train_on_batch")(binder.batch((x, y, sample_weight)))
    logs = objective.logs()
    return logs if as_dict else in_order(objective, logs)


@located
def predict_on_batch(model: Trainable, x: object) -> _tree.Nest:
    """Return the outputs for one batch as NumPy arrays, in the structure of the model's outputs."""
    binder, step, x = prediction_for(model, x)
    return _tree.map_leaves(numpy, step(binder.batch((x,))))
