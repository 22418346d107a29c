"""One batch at a time: train_on_batch, test_on_batch, predict_on_batch."""

from __future__ import annotations

from typing import Any

from anabranch import _tree, engine
from anabranch.training._collect import numpy
from anabranch.training._feeding import ModelFeed
from anabranch.training._preparing import feed_for, placed, prepared, step_for, with_graph
from anabranch.training.by_hand import NestFeed, overridden
from anabranch.training.loop import in_order
from anabranch.training.step import predict_step


@placed
def train_on_batch(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
) -> Any:
    """Take one training step and return loss and metrics of this batch: a number, a list in Keras's order, or a dict."""
    compiled, x = prepared(model, x, "train_on_batch")
    engine.synchronise_seed()
    feed = feed_for(model, compiled, class_weight)
    compiled.reset()
    step_for(model, compiled, training=True)(feed.batch((x, y, sample_weight)))
    logs = compiled.logs()
    return logs if return_dict else in_order(model, compiled, logs)


@placed
def test_on_batch(model: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:  # noqa: PT028  (no pytest test: Keras's word)
    """Measure one batch and return loss and metrics: a number, a list in Keras's order, or a dict."""
    compiled, x = prepared(model, x, "test_on_batch")
    engine.synchronise_seed()
    compiled.reset()
    step_for(model, compiled, training=False)(feed_for(model, compiled).batch((x, y, sample_weight)))
    logs = compiled.logs()
    return logs if return_dict else in_order(model, compiled, logs)


@placed
def predict_on_batch(model: Any, x: Any) -> Any:
    """Return the outputs for one batch as NumPy arrays in the structure the model's outputs have."""
    by_hand = "predict_step" in overridden(model)
    if not by_hand:
        x = with_graph(model, x)
    engine.synchronise_seed()
    batch = (NestFeed() if by_hand else ModelFeed(model, None)).batch((x,))
    return _tree.map_leaves(numpy, predict_step(model, by_hand=by_hand)(batch))
