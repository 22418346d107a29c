"""The loop: fit, evaluate and predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from anabranch import _tree, callbacks as callback_room, engine
from anabranch._errors import ArgumentError, DataError
from anabranch.graph.call_site import warn
from anabranch.training import _order
from anabranch.training._checks import optional_whole, whole
from anabranch.training._collect import Collector, owned
from anabranch.training._feeding import ModelFeed, source_of, split_of, unpack
from anabranch.training._hooks import BatchHooks
from anabranch.training._interrupt import Interruption
from anabranch.training._preparing import feed_for, placed, prepared, step_for, with_graph
from anabranch.training._sources import Arrays, Epochs
from anabranch.training.by_hand import ByHand, NestFeed, overridden
from anabranch.training.compiling import Compiled
from anabranch.training.step import predict_step
from anabranch.training.trackers import metrics_names


class RunningLogs(Mapping[str, float]):
    """Loss and metrics so far; the device is read when somebody looks, not before."""

    def __init__(self, compiled: Compiled | ByHand) -> None:
        self._compiled = compiled
        self._read: dict[str, Any] | None = None

    def _values(self) -> dict[str, Any]:
        if self._read is None:
            self._read = self._compiled.logs()
        return self._read

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._compiled.metrics_names

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled.metrics_names)

    def __len__(self) -> int:
        return len(self._compiled.metrics_names)


@placed
def fit(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
) -> Any:
    """Train ``model`` and return the History of its epochs.

    Arrays are shuffled by one permutation for each epoch, a function of the seed. Ctrl-C ends training after the step at hand:
    weights and the history of whole epochs are kept, and ``history.interrupted`` is true.

    Raises:
        NotReadyError: ``compile`` was not called.
        DataError, ShapeError, DtypeError: the data do not fit the model or its losses.
    """
    compiled, x = prepared(model, x, "fit")
    batch_size = optional_whole(batch_size, "batch_size")
    steps_per_epoch = optional_whole(steps_per_epoch, "steps_per_epoch")
    validation_steps = optional_whole(validation_steps, "validation_steps")
    validation_batch_size = optional_whole(validation_batch_size, "validation_batch_size")
    epochs, initial_epoch = whole(epochs, "epochs", 0), whole(initial_epoch, "initial_epoch", 0)
    _order.check_shuffle(shuffle)
    engine.synchronise_seed()
    number = _order.next_fit()
    feed = feed_for(model, compiled, class_weight)
    if validation_split and validation_data is None:
        train, held = split_of(
            feed, x, y, sample_weight, validation_split, batch_size=batch_size, steps=steps_per_epoch,
            validation_batch_size=validation_batch_size, validation_steps=validation_steps, shuffle=shuffle, fit=number,
        )  # fmt: skip
    else:
        train = source_of(
            feed,
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            fit=number,
            finite=True,
        )
        held = None
        if validation_data is not None:
            parts = unpack(validation_data)
            val_size = validation_batch_size or batch_size
            held = source_of(feed_for(model, compiled), *parts, batch_size=val_size, steps=validation_steps)
    deal = Epochs(train, steps_per_epoch)
    params = {"epochs": epochs, "steps": deal.steps, "verbose": verbose}
    listeners = _listeners(callbacks, model, params, verbose, history=True)
    validation = None if held is None else Epochs(held, validation_steps)
    return Fit(model, compiled, deal, validation, validation_freq, listeners).run(initial_epoch, epochs)


class Fit:
    """One call of fit, under way."""

    def __init__(
        self,
        model: Any,
        compiled: Compiled | ByHand,
        deal: Epochs,
        validation: Epochs | None,
        validation_freq: Any,
        listeners: Any,
    ) -> None:
        self.model = model
        self.compiled = compiled
        self.deal = deal
        self.validation = validation
        self.validation_freq = validation_freq
        self.listeners = listeners
        self.guard = Interruption()
        self.epoch = 0
        self.done = 0
        self.told_nan = False
        self.dry = False

    def run(self, first: int, epochs: int) -> Any:
        """Train epochs ``first`` to ``epochs`` and return the History."""
        history = self.listeners.history
        history.interrupted = False
        self.model.history = history
        self.model.stop_training = False
        logs: dict[str, Any] = {}
        with engine.keeping_memory(first=not self.compiled.started), self.guard:
            try:
                try:
                    self.listeners.on_train_begin()
                    for epoch in range(first, epochs):
                        logs = self.train_epoch(epoch) or logs
                        if self.model.stop_training or self.dry:
                            break
                except KeyboardInterrupt:
                    history.interrupted = True
                    self.listeners.report(f"interrupted at epoch {self.epoch + 1}, step {self.done}")
                self.guard.waiting = True  # from here on Ctrl-C raises as usual
                self.compiled.optimizer.finalize()
                self.listeners.on_train_end(logs)
            finally:
                self.listeners.close()
                for deal in filter(None, (self.deal, self.validation)):
                    deal.close()
                self.model.zero_grad()
        return history

    def train_epoch(self, epoch: int) -> dict[str, Any] | None:
        """Train and validate one epoch and return its logs; None where the data had run out before it."""
        self.epoch, self.done = epoch, 0
        self.compiled.reset()
        self.listeners.on_epoch_begin(epoch)
        self.train_batches(epoch)
        if self.done == 0:
            self.note_lack(epoch)
            return None
        if self.deal.ran_out:
            _warn_short(self.done, self.deal.limit)
        logs = self.compiled.logs()
        self.tell_nan(epoch)
        self.guard.check()
        if self.validation is not None and _is_due(self.validation_freq, epoch):
            self.guard.waiting = True
            found = test_loop(self.model, self.compiled, self.validation, self.listeners, epoch, what="validation data")
            self.guard.waiting = False
            logs |= {f"val_{name}": value for name, value in found.items()}
        self.listeners.on_epoch_end(epoch, logs)
        self.guard.check()
        return logs

    def train_batches(self, epoch: int) -> None:
        """Take the epoch's steps."""
        step = step_for(self.model, self.compiled, training=True, report=self.listeners.report)
        model, guard = self.model, self.guard
        hooks = BatchHooks(self.listeners, "train", model.steps_per_execution, lambda: RunningLogs(self.compiled))
        batches = self.deal.epoch(epoch)
        while True:
            guard.waiting = True
            batch = next(batches, None)
            guard.waiting = False
            if guard.requested:
                raise KeyboardInterrupt
            if batch is None:
                break
            hooks.before(self.done)
            step(batch)
            if not self.compiled.started:
                self.compiled.started = True
                engine.first_step_done()
            batch = None  # the next one need not share the memory with it
            self.done += 1
            if hooks.after(self.done) and model.stop_training:
                return
        hooks.finish(self.done)

    def note_lack(self, epoch: int) -> None:
        """Say that an epoch had no batch; an error where none had any."""
        if not self.deal.source.once or not self.listeners.history.epoch:
            raise DataError("x gave no batch.", expected="at least one batch in each epoch", got=f"none in epoch {epoch + 1}")
        warn(
            f"The data ran out before epoch {epoch + 1}: a generator gives its batches once. Training ends here; "
            "pass steps_per_epoch with an endless generator, or an object that can be iterated again."
        )
        self.dry = True

    def tell_nan(self, epoch: int) -> None:
        """Warn once where the loss stopped being a number."""
        step = None if self.told_nan else self.compiled.record.first_nan()
        if step is not None:
            self.told_nan = True
            warn(
                f"The loss became NaN at epoch {epoch + 1}, step {step + 1}. A smaller learning rate or clipnorm=1.0 on the "
                "optimizer often helps; callbacks.TerminateOnNaN() would stop here."
            )


@placed
def evaluate(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: int | str = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """Return loss and metrics on data: a number where there is only the loss, else a list in Keras's order, or a dict."""
    compiled, x = prepared(model, x, "evaluate")
    batch_size, steps = optional_whole(batch_size, "batch_size"), optional_whole(steps, "steps")
    engine.synchronise_seed()
    feed = feed_for(model, compiled)
    deal = Epochs(source_of(feed, x, y, sample_weight, batch_size=batch_size, steps=steps), steps)
    listeners = _listeners(callbacks, model, {"epochs": 1, "steps": deal.steps, "verbose": verbose}, verbose)
    try:
        with engine.keeping_memory():
            logs = test_loop(model, compiled, deal, listeners, 0, what="x")
    finally:
        listeners.close()
        deal.close()
    return logs if return_dict else in_order(model, compiled, logs)


def in_order(model: Any, compiled: Compiled | ByHand, logs: dict[str, Any]) -> Any:
    """Return the values in the order of ``metrics_names``, then by name; a single one as a number."""
    known = compiled.metrics_names if isinstance(compiled, Compiled) else metrics_names(model)
    names = [*(name for name in known if name in logs), *sorted(name for name in logs if name not in known)]
    values = [logs[name] for name in names]
    return values[0] if len(values) == 1 else values


def test_loop(
    model: Any, compiled: Compiled | ByHand, deal: Epochs, listeners: Any, epoch: int, *, what: str
) -> dict[str, Any]:
    """Measure one pass and return the logs."""
    compiled.reset()
    step = step_for(model, compiled, training=False, report=listeners.report)
    model.stop_evaluating = False
    listeners.on_test_begin()
    hooks = BatchHooks(listeners, "test", model.steps_per_execution, lambda: RunningLogs(compiled))
    done = 0
    deal.begin_anew()
    for batch in deal.epoch(epoch):
        hooks.before(done)
        step(batch)
        done += 1
        if hooks.after(done) and model.stop_evaluating:
            break
    hooks.finish(done)
    if done == 0:
        raise DataError(
            f"The {what} gave no batch." if what != "x" else "x gave no batch.",
            repair="a generator gives its batches once: pass steps with an endless one, or what can be iterated again",
        )
    if deal.ran_out:
        _warn_short(done, deal.limit)
    logs = compiled.logs()
    listeners.on_test_end(logs)
    return logs


@placed
def predict(
    model: Any,
    x: Any,
    batch_size: int | None = None,
    verbose: int | str = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """Return the outputs for ``x`` as NumPy arrays in the structure the model's outputs have.

    What is one batch goes through at once, without a progress bar unless ``verbose=1`` asks for it.
    """
    by_hand = "predict_step" in overridden(model)
    if not by_hand:
        x = with_graph(model, x)
    batch_size, steps = optional_whole(batch_size, "batch_size"), optional_whole(steps, "steps")
    engine.synchronise_seed()
    feed = NestFeed() if by_hand else ModelFeed(model, None)
    source = source_of(feed, x, None, None, batch_size=batch_size, steps=steps)
    step = predict_step(model, by_hand=by_hand)
    if source.steps == 1 and steps is None and isinstance(source, Arrays) and callbacks is None and verbose in (0, "auto"):
        return _tree.map_leaves(owned, step(next(source.batches(0))))  # nobody listens: one batch, one call
    deal = Epochs(source, steps)
    listeners = _listeners(callbacks, model, {"epochs": 1, "steps": deal.steps, "verbose": verbose}, verbose)
    collector = Collector(source.samples if steps is None else None)
    try:
        with engine.keeping_memory():
            outputs = predict_loop(model, step, deal, listeners, collector)
    finally:
        listeners.close()
        deal.close()
    return _tree.fill(outputs, collector.arrays())


def predict_loop(model: Any, step: Any, deal: Epochs, listeners: Any, collector: Collector) -> Any:
    """Collect one pass of outputs and return the last batch's, in their nest."""
    outputs: Any = None
    model.stop_predicting = False
    done = 0
    listeners.on_predict_begin()
    hooks = BatchHooks(listeners, "predict", model.steps_per_execution, lambda: {"outputs": outputs})
    for batch in deal.epoch(0):
        hooks.before(done)
        outputs = step(batch)
        collector.add(_tree.leaves(outputs), batch.size)
        done += 1
        if hooks.after(done) and model.stop_predicting:
            break
    hooks.finish(done)
    if done == 0:
        raise DataError("x gave no batch.", expected="at least one batch")
    if deal.ran_out:
        _warn_short(done, deal.limit)
    listeners.on_predict_end()
    return outputs


def _listeners(callbacks: Any, model: Any, params: dict[str, Any], verbose: int | str, *, history: bool = False) -> Any:
    if isinstance(callbacks, callback_room.CallbackList):
        return callbacks
    return callback_room.CallbackList(callbacks, model, params, verbose)


def _is_due(freq: Any, epoch: int) -> bool:
    if isinstance(freq, int) and not isinstance(freq, bool) and freq > 0:
        return (epoch + 1) % freq == 0
    if isinstance(freq, (list, tuple, set, frozenset, range)):
        return epoch + 1 in freq
    raise ArgumentError("validation_freq cannot be used.", expected="a positive int or a list of epochs", got=repr(freq))


def _warn_short(done: int, wanted: int | None) -> None:
    warn(
        f"The data ran out after {done} of {wanted} steps, so the epoch ends here. Give at least as many batches as "
        "steps × epochs, or a source that can be iterated again."
    )
