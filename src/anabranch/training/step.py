"""One step of training and one of testing: flat closures over a model's program, its losses and its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from anabranch import _tree, engine, runtime
from anabranch._errors import AnabranchError, EngineError, GraphError
from anabranch.graph.call_site import warn
from anabranch.training._sources import Batch, data_of
from anabranch.training.compiling import Compiled, detached
from anabranch.training.trackers import own_metrics

Step = Callable[[Batch], None]
Report = Callable[[str], None]


def silent(line: str) -> None:
    """Take a line that nobody is to see."""


def way_of(model: Any, training: bool, report: Report) -> engine.Way:
    """Return how the model's outputs are computed: its flat code, that code compiled, or layer by layer."""
    if model.run_eagerly:
        return engine.Eager(model, training)
    return engine.program(model, training, report if model.jit_compile is True else None, model.remat if training else ())


def train_step(model: Any, compiled: Compiled, report: Report) -> Step:
    """Return the function that takes one training step: forward, loss, backward, update, metrics; no synchronisation."""
    program = way_of(model, True, report)
    optimizer = compiled.optimizer
    trained = model.trainable_weights
    if not trained:
        warn("The model has no trainable weights: nothing will be learned.")
    else:
        optimizer.build(trained)
    regularized = regularized_weights(model)
    total, update, record = compiled.total, compiled.update, compiled.record
    compiled.watch(own_metrics(model))
    has_metrics = bool(compiled.keyed_metrics)

    def run(batch: Batch, update_weights: Callable[[], None]) -> list[torch.Tensor]:
        x, y, weights, size, _ = batch
        optimizer.zero_grad()
        outputs, extra = program(x)
        if regularized:
            extra = [*extra, *regularization(regularized)]
        loss = total(outputs, y, weights, extra, size)
        if trained:
            if not loss.requires_grad:
                raise no_gradient()
            optimizer.scale_loss(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            update_weights()
        record.add(loss.detach(), size)
        return detached(outputs)

    def plain(batch: Batch) -> None:
        outputs = run(batch, optimizer.step)
        if has_metrics:
            update(outputs, batch.y, batch.weights)

    take = captured(model, compiled, run, lambda: program, report) or plain

    def step(batch: Batch) -> None:
        nonlocal program
        if program.graph is not model.running_graph:  # a model's own call met data of other sizes
            program = way_of(model, True, report)
        with explaining(model, batch, True):
            take(batch)

    return step


def captured(model: Any, compiled: Compiled, run: Any, way: Callable[[], Any], report: Report) -> Step | None:
    """Return the step as a GPU repeats it by itself; None where it cannot, and on other devices."""
    if engine.device().type == "cuda" or compiled.graph_maker:
        from anabranch.training import _replaying  # only where it is used

        found: Step | None = _replaying.captured_steps(model, compiled, run, way, report)
        if found is not None:
            return found
    compiled.optimizer.hold(None)
    return None


def forward_of(model: Any, program: Any) -> Any:
    """Return what computes outputs without gradients: the program, or on a GPU its replay, whose next call overwrites them."""
    if engine.device().type == "cuda":
        from anabranch.training import _replaying

        return _replaying.replayed_forward(model, program)
    return program


def test_step(model: Any, compiled: Compiled, report: Report) -> Step:
    """Return the function that measures one batch without learning from it."""
    program = way_of(model, False, report)
    forward = forward_of(model, program)
    regularized = regularized_weights(model)
    total, update, record = compiled.total, compiled.update, compiled.record
    compiled.watch(own_metrics(model))
    has_metrics = bool(compiled.keyed_metrics)

    def step(batch: Batch) -> None:
        nonlocal program, forward
        x, y, weights, size, _ = batch
        if program.graph is not model.running_graph:
            program = way_of(model, False, report)
            forward = forward_of(model, program)
        with explaining(model, batch, False):
            with torch.inference_mode():
                outputs, extra = forward(x)
                if regularized:
                    extra = [*extra, *regularization(regularized)]
                record.add(total(outputs, y, weights, extra, size), size)
            # Not in inference mode: a metric's state must stay a tensor that training can change.
            if has_metrics:
                update(outputs, y, weights)

    return step


def predict_step(model: Any, *, by_hand: bool) -> Callable[[Batch], Any]:
    """Return the function that gives the outputs for one batch in their nest; ``by_hand``: by the user's ``predict_step``."""
    if by_hand:
        engine.place_weights(model)

        def step_by_hand(batch: Batch) -> Any:
            with torch.no_grad():
                return model.predict_step(data_of(batch))

        return step_by_hand
    program = way_of(model, False, silent)
    forward = forward_of(model, program)

    def step(batch: Batch) -> Any:
        nonlocal program, forward
        if program.graph is not model.running_graph:
            program = way_of(model, False, silent)
            forward = forward_of(model, program)
        with explaining(model, batch, False), torch.inference_mode():
            outputs, _ = forward(batch.x)
            if forward is not program:
                outputs = [output.clone() for output in outputs]
        return _tree.fill(program.graph.output_structure, outputs)

    return step


def regularized_weights(model: Any) -> list[Any]:
    """Return the trained weights whose size joins the loss."""
    return [weight for weight in model.trainable_weights if weight.regularizer is not None]


def regularization(weights: list[Any]) -> list[torch.Tensor]:
    """Return each weight's penalty, computed in Keras's axis order."""
    return [weight.regularizer(runtime.shown(weight)) for weight in weights]


def no_gradient() -> GraphError:
    """Return the error for a loss that no trained weight has a part in."""
    return GraphError(
        "The loss does not depend on any trainable weight, so nothing can be learned.",
        expected="a loss of outputs that trained layers give",
        repair="thaw a layer on the way to the output, and keep .detach() and NumPy out of custom losses and layers",
    )


@contextlib.contextmanager
def explaining(model: Any, batch: Batch, training: bool) -> Iterator[None]:
    """Turn torch's refusals of a batch into errors that say what was fed, and to which layer where that is known."""
    try:
        yield
    except RuntimeError as error:
        raise engine_error(error, batch) from error
    except IndexError as error:  # an id outside an Embedding's table, on the CPU
        raise engine.explained(error, model.running_graph, batch.x, training) from error


def engine_error(error: RuntimeError, batch: Batch) -> RuntimeError:
    """Return torch's refusal with what was fed when it happened; an error of ours stays as it is."""
    if isinstance(error, AnabranchError):
        return error
    if (refusal := engine.refusal(error)) is not None:
        return refusal
    shapes = ", ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in batch.x if t is not None)
    lines = str(error).splitlines()
    full = isinstance(error, torch.OutOfMemoryError)
    return EngineError(
        "The device's memory is full." if full else f"torch refused: {lines[0] if lines else type(error).__name__}",
        got=f"a batch of x: {shapes}; y: {', '.join('None' if t is None else str(tuple(t.shape)) for t in batch.y)}",
        repair=f"a batch_size below {batch.size}, or a smaller model" if full else None,
    )
