"""One batch at a time: train_on_batch, test_on_batch, predict_on_batch."""

from __future__ import annotations

from typing import Any

import torch

from anabranch import _tree, engine
from anabranch.training._collect import numpy
from anabranch.training._feeding import ModelFeed
from anabranch.training._preparing import placed, prepared, with_graph
from anabranch.training.loop import in_order
from anabranch.training.step import engine_error, test_step, train_step


@placed
def train_on_batch(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
) -> Any:
    """Take one training step and return loss and metrics of this batch: a number, a list in Keras's order, or a dict."""
    compiled, x = prepared(model, x, "train_on_batch")
    engine.synchronise_seed()
    feed = ModelFeed(model, compiled.targets, class_weight)
    compiled.reset()
    train_step(model, compiled)(feed.batch((x, y, sample_weight)))
    logs = compiled.logs()
    return logs if return_dict else in_order(compiled, logs)


@placed
def test_on_batch(model: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:  # noqa: PT028  (no pytest test: Keras's word)
    """Measure one batch and return loss and metrics: a number, a list in Keras's order, or a dict."""
    compiled, x = prepared(model, x, "test_on_batch")
    engine.synchronise_seed()
    compiled.reset()
    test_step(model, compiled)(ModelFeed(model, compiled.targets).batch((x, y, sample_weight)))
    logs = compiled.logs()
    return logs if return_dict else in_order(compiled, logs)


@placed
def predict_on_batch(model: Any, x: Any) -> Any:
    """Return the outputs for one batch as NumPy arrays in the structure the model's outputs have."""
    x = with_graph(model, x)
    engine.synchronise_seed()
    batch = ModelFeed(model, None).batch((x,))
    program = engine.program(model, training=False)
    try:
        with torch.inference_mode():
            outputs, _ = program(batch.x)
    except RuntimeError as error:
        raise engine_error(error, batch) from error
    return _tree.fill(model.output_structure, [numpy(output) for output in outputs])
