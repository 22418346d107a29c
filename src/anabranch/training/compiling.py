"""``compile``: checks what a model is to be trained with."""

from __future__ import annotations

from typing import Any

from anabranch import optimizers, registry
from anabranch._errors import AnabranchError
from anabranch.optimizers.registry import OptimizerLike
from anabranch.training.compiled import Compiled, Given
from anabranch.training.options import checked_options
from anabranch.training.trainable import Trainable

_LEFT_OUT = {"auto_scale_loss": True, "remat": None}  # of a config, where they have their defaults


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
    options = checked_options(model._graph_, run_eagerly, steps_per_execution, jit_compile, auto_scale_loss, remat)
    chosen = optimizers.get(optimizer)
    if options.auto_scale_loss and _computes_in_float16(model) and not _scales_loss(chosen):
        chosen = optimizers.LossScaleOptimizer(chosen)
    return Compiled(model, chosen, Given(loss, loss_weights, metrics, weighted_metrics), options)


def compile_config(compiled: Compiled | None) -> dict[str, registry.Json]:
    """Return the arguments of ``compile`` as JSON in Keras's form; nothing of a model that was not compiled."""
    found: dict[str, registry.Json] = {}
    for name, value in ({} if compiled is None else compiled.arguments).items():
        if name in _LEFT_OUT and value == _LEFT_OUT[name]:
            continue
        try:
            found[name] = registry.serialize_keras_object(value)
        except AnabranchError as error:
            raise error.at(f"compile({name}=…)") from error.__cause__
    return found


def compile_arguments(config: dict[str, registry.Json]) -> dict[str, Any]:
    """Return the arguments of ``compile`` that ``compile_config`` described."""
    return {name: registry.deserialize(value) for name, value in config.items()}


def _computes_in_float16(model: Trainable) -> bool:
    """Return whether gradients pass through float16 on the way to weights of more bits."""
    return any(layer._low_precision_ == "float16" for layer in model._inner_layers_())


def _scales_loss(optimizer: optimizers.Optimizer) -> bool:
    return isinstance(optimizer, optimizers.LossScaleOptimizer) or bool(optimizer.loss_scale_factor)
