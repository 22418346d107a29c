"""The steps of a compiled model: of training (forward, loss, backward, update, metrics), of testing, of prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from anabranch import _tree, engine, runtime
from anabranch._asked import first_line
from anabranch._errors import AnabranchError, EngineError, GraphError
from anabranch.graph import Weight
from anabranch.graph.call_site import warn
from anabranch.optimizers import capturing
from anabranch.optimizers.optimizer import follow
from anabranch.training.compiled import Compiled, Tensors, detached
from anabranch.training.data.batch import Batch
from anabranch.training.executor import Executor, Report, silent
from anabranch.training.metric_trackers import metrics_in, own_metrics
from anabranch.training.penalties import (
    Sums,
    add_gradients,
    penalties,
    regularized,
    scales_by_factor,
    taken_together,
    values_of,
)
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable

Step = Callable[[Batch], None]


class TrainStep:
    """Takes training steps; nothing is read from the device between them."""

    def __init__(self, model: Trainable, compiled: Compiled, strategy: Strategy, report: Report, alone: bool = False) -> None:
        self._model = model
        self._compiled = compiled
        self._strategy = strategy
        self._report = report
        self._alone = alone
        self._executor = Executor(model, True, strategy, report)
        self._weights: list[Weight]
        self._trained: list[Weight]
        self._regularized: list[Weight]
        self._take: Step
        self._prepare()

    def _prepare(self) -> None:
        model, compiled = self._model, self._compiled
        self._trained = model.trainable_weights
        trained = set(self._trained)
        layers: list[Any] = list(model._inner_layers_())  # one walk for all that is asked of them
        self._weights = list(dict.fromkeys(weight for layer in layers for weight in layer._own_weights_()))
        runtime.refuse_unfrozen(weight for weight in self._weights if weight not in trained)
        if self._trained:
            follow(compiled.optimizer, self._trained)
        else:
            warn("The model has no trainable weights, so nothing is learned.")
        self._regularized = regularized(self._trained)
        compiled.report_metrics(metrics_in(layers, model))
        # On a CPU one step is not worth the question, unless more follow and a program is there: the second one asks it.
        asks = compiled.graph_maker or (not self._alone and compiled.replays and compiled.replays.replayed)
        self._take = self._first if self._strategy.device.type == "cpu" and not asks else self._usual()

    def _usual(self) -> Step:
        step, choice = self._captured() or self._plain, self._compiled.choice
        if self._model.jit_compile is not True or choice.line:
            return step

        def measured(batch: Batch) -> None:
            changed = choice.take(step, batch)
            if choice.line:
                self._report(choice.line)
            if changed:
                self._executor = Executor(self._model, True, self._strategy, self._report)
            if changed or choice.line:
                self._take = self._usual()

        return measured

    def _first(self, batch: Batch) -> None:
        capturing.hold_numbers(self._compiled.optimizer, None)
        self._plain(batch)
        self._take = self._second

    def _second(self, batch: Batch) -> None:
        self._take = self._usual()
        self._take(batch)

    def _captured(self) -> Step | None:
        """Return the step as it is replayed; None where it cannot be, and on devices that have no such way."""
        compiled = self._compiled
        if self._strategy.device.type in ("cpu", "cuda"):
            from anabranch.training import capture  # only where it is used

            executor = self._executor
            found = capture.captured_steps(
                self._model, compiled, self.compute, lambda: executor.program, self._strategy, self._report,
                self._weights, self._trained,
            )  # fmt: skip
            if found is not None:
                return found
        capturing.hold_numbers(compiled.optimizer, None)
        return None

    def __call__(self, batch: Batch) -> None:
        """Take one step."""
        if self._executor.refresh():
            self._prepare()
        with explaining(self._model, batch):
            self._take(batch)

    def _plain(self, batch: Batch) -> None:
        self._compiled.optimizer.zero_grad()
        outputs = self.compute(batch, self._compiled.optimizer.step)
        if self._compiled.metrics_by_name:
            self._compiled.update(outputs, batch.y, batch.weights)

    def compute(self, batch: Batch, update_weights: Callable[[], None]) -> Tensors:
        """Compute forward and loss, add to the gradients, call ``update_weights``, and return the outputs, detached."""
        compiled, optimizer = self._compiled, self._compiled.optimizer
        outputs, extra = self._executor(batch.x)
        sums: Sums = {}
        if self._regularized:
            sums, others = taken_together(self._regularized) if scales_by_factor(optimizer) else (sums, self._regularized)
            extra = [*extra, *values_of(sums), *penalties(others)]
        loss = compiled.total(outputs, batch.y, batch.weights, extra, batch.size)
        if self._trained:
            if loss.requires_grad:
                optimizer.scale_loss(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            elif not sums:
                raise no_gradient()
            if sums:
                add_gradients(sums, optimizer.scale_loss(1.0))  # type: ignore[arg-type]  # a product, whatever of
            self._strategy.reduce_gradients()
            update_weights()
        compiled.loss_record.add(loss.detach(), batch.size)
        return detached(outputs)


class TestStep:
    """Computes loss and metrics of batches, without gradients."""

    __test__ = False  # no test of pytest's

    def __init__(self, model: Trainable, compiled: Compiled, strategy: Strategy, report: Report) -> None:
        self._model = model
        self._compiled = compiled
        self._executor = Executor(model, False, strategy, report)
        self._prepare()

    def _prepare(self) -> None:
        self._regularized = regularized(self._model.trainable_weights)
        self._compiled.report_metrics(own_metrics(self._model))

    def __call__(self, batch: Batch) -> None:
        """Evaluate one batch."""
        if self._executor.refresh():
            self._prepare()
        compiled = self._compiled
        x, y, weights, size, _ = batch
        with explaining(self._model, batch):
            with self._executor.program.without_gradients():
                outputs, extra = self._executor(x)
                if self._regularized:
                    sums, others = taken_together(self._regularized)
                    extra = [*extra, *values_of(sums), *penalties(others)]
                compiled.loss_record.add(compiled.total(outputs, y, weights, extra, size), size)
            # Not in inference mode: a metric's state must stay a tensor that training can change.
            if compiled.metrics_by_name:
                compiled.update(outputs, y, weights)


class PredictStep:
    """Computes the outputs of batches, in their nest."""

    def __init__(self, model: Trainable, strategy: Strategy) -> None:
        self._model = model
        self._executor = Executor(model, False, strategy, silent)

    def __call__(self, batch: Batch) -> _tree.Nest:
        """Return the outputs for one batch."""
        executor = self._executor
        executor.refresh()
        with explaining(self._model, batch), executor.program.without_gradients():
            outputs, _ = executor(batch.x)
            if executor.reuses_outputs:
                outputs = [output.clone() for output in outputs]
        return _tree.fill(executor.program.graph.output_structure, outputs)


def no_gradient() -> GraphError:
    """Return the error for a loss on which no trained weight has an effect."""
    return GraphError(
        "The loss does not depend on any trainable weight, so nothing can be learned.",
        expected="a loss computed from the outputs of trained layers",
        repair="unfreeze a layer between inputs and outputs, and keep .detach() and NumPy out of custom losses and layers",
    )


@contextlib.contextmanager
def explaining(model: Trainable, batch: Batch) -> Iterator[None]:
    """Turn torch's errors into ones that say which batch caused them, and in which layer where that is known."""
    try:
        yield
    except AnabranchError:
        raise
    except engine.REFUSALS as error:
        known = _culprit(error, model, batch) or (engine_error(error, batch) if isinstance(error, RuntimeError) else None)
        if known is None:
            raise
        raise known from error


def _culprit(error: Exception, model: Trainable, batch: Batch) -> AnabranchError | None:
    """Return an error that names a weight that torch code has converted, or the layer that cannot run; None without."""
    converted = runtime.converted(model.weights, error)
    if converted is not None:
        return converted
    if (graph := model._running_graph_) is None or isinstance(error, torch.OutOfMemoryError) or engine.refusal(error):
        return None
    with torch.no_grad():  # as in inference, so that no statistics move
        return engine.culprit(error, graph, batch.x, False)


def engine_error(error: RuntimeError, batch: Batch) -> RuntimeError:
    """Return torch's error together with the shapes of the batch; an error of ours is returned as it is."""
    if isinstance(error, AnabranchError):
        return error
    if (refusal := engine.refusal(error)) is not None:
        return refusal
    shapes = ", ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in batch.x if t is not None)
    full = isinstance(error, torch.OutOfMemoryError)
    return EngineError.of(
        error,
        "The device's memory is full." if full else f"torch raised an error: {first_line(error)}",
        got=f"a batch of x: {shapes}; y: {', '.join('None' if t is None else str(tuple(t.shape)) for t in batch.y)}",
        repair=f"a batch_size below {batch.size}, or a smaller model" if full else None,
    )
