"""The rooms of the library and what is called in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nonsense import functions, layers, models, small, training
from nonsense.target import Target

ROOMS: dict[str, Callable[[], Iterable[Target]]] = {
    "layers": layers.constructors,
    "calls of layers": layers.calls,
    "layer": layers.methods,
    "ops": functions.ops,
    "ops of symbolic tensors": functions.symbolic_ops,
    "losses": training.losses,
    "metrics": training.metrics,
    "optimizers": training.optimizers,
    "callbacks": training.callbacks,
    "initializers": functions.of_weights,
    "activations": functions.activations,
    "random": functions.random,
    "config": small.config,
    "utils": small.utils,
    "saving": small.saving,
    "datasets": small.datasets,
    "edit": models.edits,
    "insight": models.insight,
    "models": models.models,
    "training": models.training,
}
