"""``compile``: checks what a model is to be trained with."""

from __future__ import annotations

from anabranch import optimizers
from anabranch.optimizers.registry import OptimizerLike
from anabranch.training.compiled import Compiled, Given
from anabranch.training.options import checked_options
from anabranch.training.trainable import Trainable


def compile(
    model: Trainable,
    *,
    optimizer: OptimizerLike,
    loss: object,
    loss_weights: object,
    metrics: object,
    weighted_metrics: object,
    run_eagerly: bool,
    steps_per_execution: int,
    jit_compile: bool | str,
    auto_scale_loss: bool,
    remat: object,
) -> Compiled:
    """Return optimizer, losses and metrics of a model, bound to its outputs; arguments as for ``Model.compile``."""
    options = checked_options(model.graph, run_eagerly, steps_per_execution, jit_compile, auto_scale_loss, remat)
    chosen = optimizers.get(optimizer)
    if options.auto_scale_loss and _computes_in_float16(model) and not _scales_loss(chosen):
        chosen = optimizers.LossScaleOptimizer(chosen)
    return Compiled(model, chosen, Given(loss, loss_weights, metrics, weighted_metrics), options)


def _computes_in_float16(model: Trainable) -> bool:
    """Return whether gradients pass through float16 on the way to weights of more bits."""
    return any(layer.low_precision == "float16" for layer in model.inner_layers())


def _scales_loss(optimizer: optimizers.Optimizer) -> bool:
    return isinstance(optimizer, optimizers.LossScaleOptimizer) or bool(optimizer.loss_scale_factor)
