"""``train_on_batch`` and its like: one batch, given as arrays; and functions that take the next batches of an iterator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anabranch import _tree
from anabranch._errors import DataError
from anabranch.training.arguments import boolean
from anabranch.training.data.batch import Batch
from anabranch.training.data.binder import Binder
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.evaluating import in_order
from anabranch.training.logs import Reported, RunningLogs
from anabranch.training.objective import Objective
from anabranch.training.predictions import numpy
from anabranch.training.preparation import located, objective_for, prediction_for
from anabranch.training.trainable import Trainable

StepFunction = Callable[[Iterable[object]], Mapping[str, Any]]


@located
def train_on_batch(
    model: Trainable, x: object, y: object, sample_weight: object, class_weight: object, return_dict: bool
) -> Reported:
    """Take one training step and return loss and metrics of this batch, as ``Model.train_on_batch`` does."""
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
    objective.step(training=use == "train_on_batch", alone=True)(binder.batch((x, y, sample_weight)))
    logs = objective.logs()
    return logs if as_dict else in_order(objective, logs)


def step_function(model: Trainable, use: str, *, training: bool) -> StepFunction:
    """Return what takes ``steps_per_execution`` steps on the batches of an iterator, and returns loss and metrics so far."""
    ready: tuple[Objective, Binder, Callable[[Batch], None]] | None = None

    def function(iterator: Iterable[object]) -> Mapping[str, Any]:
        nonlocal ready
        batches = _some(iterator, model.steps_per_execution)
        if ready is None:
            made, _ = objective_for(model, unpack(batches[0])[0], use)
            ready = made, made.binder(), made.step(training=training)
        objective, binder, step = ready
        for item in batches:
            step(binder.batch(item))
        return RunningLogs(objective.metrics_names, objective.logs)

    return function


def predict_function(model: Trainable) -> Callable[[Iterable[object]], _tree.Nest]:
    """Return what predicts the next batch of an iterator and returns the outputs, as tensors."""
    ready: tuple[Binder, Callable[[Batch], Any]] | None = None

    def function(iterator: Iterable[object]) -> _tree.Nest:
        nonlocal ready
        x = unpack(_some(iterator, 1)[0])[0]
        if ready is None:
            binder, step, _ = prediction_for(model, x)
            ready = binder, step
        return ready[1](ready[0].batch((x,)))

    return function


def _some(iterator: Iterable[object], most: int) -> list[Any]:
    """Return the next batches of an iterator, at least one."""
    found = list(itertools.islice(iterator, most))
    if not found:
        raise DataError("The iterator gave no batch.", expected="an iterator of batches, or a list of them")
    return found


@located
def predict_on_batch(model: Trainable, x: object) -> _tree.Nest:
    """Return the outputs for one batch as NumPy arrays, in the structure of the model's outputs."""
    binder, step, x = prediction_for(model, x)
    return _tree.map_leaves(numpy, step(binder.batch((x,))))
