"""``predict``: the outputs for all data, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch import _tree, engine
from anabranch._errors import DataError
from anabranch.callbacks import CallbackList
from anabranch.training import at_once
from anabranch.training.arguments import optional_integer
from anabranch.training.batch_callbacks import BatchCallbacks
from anabranch.training.data.adapters import source_for
from anabranch.training.data.batch import Batch
from anabranch.training.data.epochs import Epochs
from anabranch.training.data.reading import Reading
from anabranch.training.data.sources import Arrays
from anabranch.training.predictions import Collector, owned
from anabranch.training.preparation import callbacks_for, located, prediction_for, warn_short
from anabranch.training.trainable import Trainable


@located
def predict(
    model: Trainable, x: object, *, batch_size: int | None, verbose: int | str, steps: int | None, callbacks: object
) -> _tree.Nest:
    """Return the outputs for ``x``, as ``Model.predict`` does; a single batch takes one call and no progress bar."""
    direct = steps is None and callbacks is None and isinstance(verbose, (int, str)) and verbose in (0, "auto")
    if direct and (found := at_once.predicted(model, x, batch_size)) is not None:
        return found
    binder, step, x = prediction_for(model, x)
    reading = Reading(optional_integer(batch_size, "batch_size"), optional_integer(steps, "steps"))
    source = source_for(binder, x, None, None, reading)
    if direct and source.steps == 1 and isinstance(source, Arrays):
        outputs = _tree.map_leaves(owned, step(next(source.batches(0))))
        at_once.note(model, x)
        return outputs
    epochs = Epochs(source, reading.steps)
    shown = callbacks_for(callbacks, model, model._training_strategy_, epochs=1, steps=epochs.steps, verbose=verbose)
    collector = Collector(source.samples if epochs.limit is None else None, binder.strategy.mover)
    try:
        with engine.keeping_memory():
            outputs = _prediction_pass(model, step, epochs, shown, collector)
    finally:
        shown.close()
        epochs.close()
    return _tree.fill(outputs, collector.arrays())


def _prediction_pass(
    model: Trainable, step: Callable[[Batch], Any], epochs: Epochs, callbacks: CallbackList, collector: Collector
) -> _tree.Nest:
    """Collect the outputs of one pass and return the last batch's, in their nest."""
    outputs: _tree.Nest = None
    model.stop_predicting = False
    done = 0
    callbacks.on_predict_begin()
    hooks = BatchCallbacks(callbacks, "predict", model.steps_per_execution, lambda: {"outputs": outputs})
    for batch in epochs.epoch(0):
        hooks.before(done)
        outputs = step(batch)
        collector.add(_tree.leaves(outputs), batch.size)
        done += 1
        if hooks.after(done) and model.stop_predicting:
            break
    hooks.finish(done)
    if done == 0:
        raise DataError("x gave no batch.", expected="at least one batch")
    if epochs.ran_out:
        warn_short(done, epochs.limit)
    callbacks.on_predict_end()
    return outputs
