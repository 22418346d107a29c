"""``evaluate``, and the validation inside ``fit``: one pass over data without training."""

from __future__ import annotations

from anabranch import engine
from anabranch._errors import DataError
from anabranch.callbacks import CallbackList
from anabranch.training.arguments import boolean, optional_integer
from anabranch.training.batch_callbacks import BatchCallbacks
from anabranch.training.data.adapters import source_for
from anabranch.training.data.epochs import Epochs
from anabranch.training.data.reading import Reading
from anabranch.training.logs import Logs, Reported, RunningLogs
from anabranch.training.objective import Objective
from anabranch.training.preparation import callbacks_for, located, objective_for, warn_short
from anabranch.training.trainable import Trainable


class NoBatchError(DataError):
    """A source of data had no batch."""


@located
def evaluate(
    model: Trainable,
    x: object,
    y: object,
    *,
    batch_size: int | None,
    verbose: int | str,
    sample_weight: object,
    steps: int | None,
    callbacks: object,
    return_dict: bool,
) -> Reported:
    """Return loss and metrics on data, as ``Model.evaluate`` does."""
    objective, x = objective_for(model, x, "evaluate")
    reading = Reading(optional_integer(batch_size, "batch_size"), optional_integer(steps, "steps"))
    as_dict = boolean(return_dict, "return_dict")
    epochs = Epochs(source_for(objective.binder(), x, y, sample_weight, reading), reading.steps)
    shown = callbacks_for(callbacks, model, model._training_strategy_, epochs=1, steps=epochs.steps, verbose=verbose)
    try:
        with engine.keeping_memory():
            logs = evaluation_pass(model, objective, epochs, shown, 0, what="x")
    finally:
        shown.close()
        epochs.close()
    return logs if as_dict else in_order(objective, logs)


def in_order(objective: Objective, logs: Logs) -> float | list[float]:
    """Return the values in the order of ``metrics_names``, then by name; a single one as a number."""
    known = objective.report_order
    names = [*(name for name in known if name in logs), *sorted(name for name in logs if name not in known)]
    values = [logs[name] for name in names]
    return values[0] if len(values) == 1 else values


def evaluation_pass(
    model: Trainable, objective: Objective, epochs: Epochs, callbacks: CallbackList, epoch: int, *, what: str
) -> Logs:
    """Evaluate one pass of data and return the logs."""
    objective.reset()
    step = objective.step(training=False, report=callbacks.report)
    model.stop_evaluating = False
    callbacks.on_test_begin()
    hooks = BatchCallbacks(
        callbacks, "test", model.steps_per_execution, lambda: RunningLogs(objective.metrics_names, objective.logs)
    )
    done = 0
    epochs.restart()
    for batch in epochs.epoch(epoch):
        hooks.before(done)
        step(batch)
        done += 1
        if hooks.after(done) and model.stop_evaluating:
            break
    hooks.finish(done)
    if done == 0:
        raise NoBatchError(
            f"The {what} gave no batch." if what != "x" else "x gave no batch.",
            repair="a generator yields its batches once: pass steps with an endless one, or what can be iterated again",
        )
    if epochs.ran_out:
        warn_short(done, epochs.limit)
    logs = objective.logs()
    callbacks.on_test_end(logs)
    return logs
