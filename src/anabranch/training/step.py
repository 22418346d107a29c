"""One step of training and one of testing: flat closures over a model's program, its losses and its optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anabranch import compute, engine
from anabranch._errors import AnabranchError, EngineError, GraphError
from anabranch.training._sources import Batch
from anabranch.training._warning import tell
from anabranch.training.compiling import Compiled

Step = Callable[[Batch], None]


def train_step(model: Any, compiled: Compiled) -> Step:
    """Return the function that takes one training step: forward, loss, backward, update, metrics; no synchronisation."""
    program = engine.program(model, training=True)
    optimizer = compiled.optimizer
    trained = model.trainable_weights
    if not trained:
        tell("The model has no trainable weights: nothing will be learned.")
    else:
        optimizer.build(trained)
    regularized = regularized_weights(model)
    total, update, record = compiled.total, compiled.update, compiled.record
    has_metrics = bool(compiled.keyed_metrics)

    def step(batch: Batch) -> None:
        x, y, weights, size = batch
        try:
            optimizer.zero_grad()
            outputs, extra = program(x)
            if regularized:
                extra = [*extra, *regularization(regularized)]
            loss = total(outputs, y, weights, extra, size)
            if trained:
                if not loss.requires_grad:
                    raise _no_gradient()
                optimizer.scale_loss(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
                optimizer.step()
            record.add(loss.detach(), size)
            if has_metrics:
                update([compute.with_mask(output.detach(), compute.mask_of(output)) for output in outputs], y, weights)
        except RuntimeError as error:
            raise engine_error(error, batch) from error
        except IndexError as error:  # an id outside an Embedding's table, on the CPU
            raise engine.explained(error, model.graph, x, True) from error

    return step


def test_step(model: Any, compiled: Compiled) -> Step:
    """Return the function that measures one batch without learning from it."""
    program = engine.program(model, training=False)
    regularized = regularized_weights(model)
    total, update, record = compiled.total, compiled.update, compiled.record
    has_metrics = bool(compiled.keyed_metrics)

    def step(batch: Batch) -> None:
        x, y, weights, size = batch
        try:
            with torch.inference_mode():
                outputs, extra = program(x)
                if regularized:
                    extra = [*extra, *regularization(regularized)]
                record.add(total(outputs, y, weights, extra, size), size)
            # Not in inference mode: a metric's state must stay a tensor that training can change.
            if has_metrics:
                update(outputs, y, weights)
        except RuntimeError as error:
            raise engine_error(error, batch) from error
        except IndexError as error:
            raise engine.explained(error, model.graph, x, False) from error

    return step


def regularized_weights(model: Any) -> list[Any]:
    """Return the trained weights whose size joins the loss."""
    return [weight for weight in model.trainable_weights if weight.regularizer is not None]


def regularization(weights: list[Any]) -> list[torch.Tensor]:
    """Return each weight's penalty, computed in Keras's axis order."""
    return [weight.regularizer(compute.shown(weight)) for weight in weights]


def _no_gradient() -> GraphError:
    return GraphError(
        "The loss does not depend on any trainable weight, so nothing can be learned.",
        expected="a loss of outputs that trained layers give",
        repair="thaw a layer on the way to the output, and keep .detach() and NumPy out of custom losses and layers",
    )


def engine_error(error: RuntimeError, batch: Batch) -> RuntimeError:
    """Return torch's refusal with what was fed when it happened; an error of ours stays as it is."""
    if isinstance(error, AnabranchError):
        return error
    shapes = ", ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in batch.x)
    lines = str(error).splitlines()
    full = isinstance(error, torch.OutOfMemoryError)
    return EngineError(
        "The device's memory is full." if full else f"torch refused: {lines[0] if lines else type(error).__name__}",
        got=f"a batch of x: {shapes}; y: {', '.join('None' if t is None else str(tuple(t.shape)) for t in batch.y)}",
        repair=f"a batch_size below {batch.size}, or a smaller model" if full else None,
    )
