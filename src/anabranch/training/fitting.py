"""``fit``: epochs of training steps, validation, callbacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from anabranch import config, engine
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, DataError
from anabranch.callbacks import CallbackList, History
from anabranch.graph.call_site import warn
from anabranch.training.arguments import fraction, integer, optional_integer
from anabranch.training.batch_callbacks import BatchCallbacks
from anabranch.training.data.adapters import source_for, split
from anabranch.training.data.epochs import Epochs
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.data.reading import Reading
from anabranch.training.data.shuffling import check_shuffle, next_fit
from anabranch.training.data.sources import Arrays
from anabranch.training.evaluating import NoBatchError, evaluation_pass
from anabranch.training.interruption import Interruption
from anabranch.training.logs import Logs, RunningLogs
from anabranch.training.objective import Objective
from anabranch.training.preparation import callbacks_for, located, objective_for, warn_short
from anabranch.training.resuming import Resumption
from anabranch.training.trainable import Trainable, has_custom_step


@located
def fit(
    model: Trainable,
    x: object,
    y: object,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: int | str,
    callbacks: object,
    validation_split: float,
    validation_data: object,
    shuffle: bool | str,
    class_weight: object,
    sample_weight: object,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: object,
) -> History:
    """Train a model and return the history of its epochs, as ``Model.fit`` does."""
    objective, x = objective_for(model, x, "fit")
    first, last = integer(initial_epoch, "initial_epoch", 0), _last_epoch(integer(epochs, "epochs", 0))
    due = ValidationEpochs(validation_freq)
    held_fraction = fraction(validation_split, "validation_split")
    check_shuffle(shuffle)
    reading = Reading(
        optional_integer(batch_size, "batch_size"), optional_integer(steps_per_epoch, "steps_per_epoch"), shuffle, next_fit(),
        finite=True, repeats=True,
    )  # fmt: skip
    held_reading = Reading(
        optional_integer(validation_batch_size, "validation_batch_size") or reading.batch_size,
        optional_integer(validation_steps, "validation_steps"),
        repeats=True,
    )
    binder = objective.binder(class_weight)
    held = None
    if held_fraction and validation_data is None:
        train, held = split(binder, x, y, sample_weight, held_fraction, reading, held_reading)
    else:
        train = source_for(binder, x, y, sample_weight, reading)
        if validation_data is not None:
            held = source_for(objective.binder(), *unpack(validation_data), held_reading)
    batches = Epochs(train, reading.steps)
    shown = callbacks_for(callbacks, model, model._training_strategy_, epochs=last, steps=batches.steps, verbose=verbose)
    validation = None if held is None else Epochs(held, held_reading.steps)
    return Fit(model, objective, batches, validation, due, shown).run(first, last)


def _last_epoch(epochs: int) -> int:
    """Return the epoch to train up to, or the one that ``config`` allows where that is earlier."""
    most = config.max_epochs()
    if most is None or most >= epochs:
        return epochs
    warn(f"Only {most} of {epochs} epochs are trained: config.max_epochs() is {most}.")
    return most


_COLLECTIONS = (list, tuple, set, frozenset, range)


class ValidationEpochs:
    """After which epochs validation is due: every so many, or those of a list, counted from 1."""

    def __init__(self, freq: object) -> None:
        given: Collection[object] = freq if isinstance(freq, _COLLECTIONS) else (freq,)
        self._repeats = not isinstance(freq, _COLLECTIONS)
        epochs = [epoch for epoch in given if is_integer(epoch) and epoch > 0]
        if len(epochs) != len(given):
            raise ArgumentError(
                "validation_freq must be a positive integer or a list of epochs.",
                expected="a positive integer, or epochs counted from 1",
                got=shown(freq),
            )
        self._epochs = epochs

    def include(self, epoch: int) -> bool:
        """Return whether validation is due after this epoch, counted from 0."""
        return (epoch + 1) % self._epochs[0] == 0 if self._repeats else epoch + 1 in self._epochs


@dataclasses.dataclass
class Fit:
    """One call of ``fit`` in progress."""

    model: Trainable
    objective: Objective
    batches: Epochs
    validation: Epochs | None
    validation_epochs: ValidationEpochs
    callbacks: CallbackList
    interruption: Interruption = dataclasses.field(default_factory=Interruption)
    epoch: int = 0
    done: int = 0
    warned_of_nan: bool = False
    exhausted: bool = False
    validated: bool = False
    resumption: Resumption | None = None

    def run(self, first: int, last: int) -> History:
        """Train epochs ``first`` to ``last`` and return the history."""
        history = self.callbacks.history
        history.interrupted = False
        self.model.history = history
        self.model.stop_training = False
        logs: Logs = {}
        sources = [epochs.source for epochs in (self.batches, self.validation) if epochs]
        changing = self.callbacks.hand_over or has_custom_step(self.model) or not all(isinstance(s, Arrays) for s in sources)
        for source in sources:
            source.may_change = changing
        with engine.keeping_memory(first=not self.objective.compiled.started), self.interruption:
            try:
                try:
                    self.callbacks.on_train_begin()
                    if self.callbacks.backups:
                        self.resumption = Resumption(self)
                        first, logs = self.resumption.begin(first)
                    for epoch in range(first, last if not self.model.stop_training else first):
                        logs = self.train_epoch(epoch) or logs
                        if self.model.stop_training or self.exhausted:
                            break
                except KeyboardInterrupt:
                    history.interrupted = True
                    self.callbacks.report(f"interrupted at epoch {self.epoch + 1}, step {self.done}")
                self.interruption.waiting = True  # from here on Ctrl-C raises as usual
                optimizer = self.objective.optimizer
                optimizer.finalize_variable_values(optimizer.weights)
                self.callbacks.on_train_end(logs)
                if self.resumption:
                    self.resumption.finished()
            finally:
                self.callbacks.close()
                for epochs in filter(None, (self.batches, self.validation)):
                    epochs.close()
                self.model.zero_grad()
        return history

    def train_epoch(self, epoch: int) -> Logs | None:
        """Train and validate one epoch and return its logs; None where the data had ended before it."""
        self.epoch, self.done = epoch, 0
        self.objective.reset()
        self.callbacks.on_epoch_begin(epoch)
        if self.resumption:
            self.resumption.epoch_begun()
        self.train_batches(epoch)
        if self.done == 0:
            self.note_exhausted(epoch)
            return None
        if self.batches.ran_out:
            warn_short(self.done, self.batches.limit)
        logs = self.objective.logs()
        self.warn_of_nan(epoch)
        self.interruption.check()
        logs |= {f"val_{name}": value for name, value in self.validate(epoch).items()}
        self.callbacks.on_epoch_end(epoch, logs)
        if self.resumption:
            self.resumption.epoch_done(logs)
        self.interruption.check()
        return logs

    def validate(self, epoch: int) -> Logs:
        """Return the logs of the validation; none where it is not due, or where a generator of its data has ended."""
        if self.validation is None or not self.validation_epochs.include(epoch):
            return {}
        self.interruption.waiting = True
        try:
            found = evaluation_pass(self.model, self.objective, self.validation, self.callbacks, epoch, what="validation data")
        except NoBatchError as error:
            if not (self.validated and self.validation.source.once):
                raise
            warn(f"The validation data ran out before epoch {epoch + 1}: {error.repair}. Training goes on without validation.")
            self.validation, found = None, {}
        self.validated = True
        self.interruption.waiting = False
        return found

    def train_batches(self, epoch: int) -> None:
        """Take the epoch's steps."""
        model, objective, interruption = self.model, self.objective, self.interruption
        step = objective.step(training=True, report=self.callbacks.report)
        hooks = BatchCallbacks(
            self.callbacks, "train", model.steps_per_execution, lambda: RunningLogs(objective.metrics_names, objective.logs)
        )
        batches, resumption = self.batches.epoch(epoch, self.done), self.resumption
        while True:
            interruption.waiting = True
            batch = next(batches, None)
            interruption.waiting = False
            if interruption.requested:
                raise KeyboardInterrupt
            if batch is None:
                break
            hooks.before(self.done)
            step(batch)
            if not objective.compiled.started:
                objective.compiled.started = True
                engine.first_step_done()
            engine.step_done()
            batch = None  # its memory is free for the next one
            self.done += 1
            if hooks.after(self.done):
                if resumption:
                    resumption.step_done()
                if model.stop_training:
                    return
        hooks.finish(self.done)

    def note_exhausted(self, epoch: int) -> None:
        """Warn that an epoch had no batch; raise where none had any."""
        if not self.batches.source.once or not self.callbacks.history.epoch:
            raise DataError("x gave no batch.", expected="at least one batch in each epoch", got=f"none in epoch {epoch + 1}")
        warn(
            f"The data ran out before epoch {epoch + 1}: a generator yields its batches once. Training ends here; "
            "pass steps_per_epoch with an endless generator, or an object that can be iterated again."
        )
        self.exhausted = True

    def warn_of_nan(self, epoch: int) -> None:
        """Warn once where the loss became NaN."""
        step = None if self.warned_of_nan else self.objective.loss_record.first_nan()
        if step is not None:
            self.warned_of_nan = True
            warn(
                f"The loss became NaN at epoch {epoch + 1}, step {step + 1}. A smaller learning rate or clipnorm=1.0 on the "
                "optimizer often helps; callbacks.TerminateOnNaN() would stop here."
            )
