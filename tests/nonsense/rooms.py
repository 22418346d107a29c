"""The rooms of the library and what is called in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature

from nonsense import files, functions, layers, methods, models, returned, small, training
from nonsense.target import Target

import anabranch

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
    "torch's methods": methods.torch_members,
    "states": methods.states,
    "what is asked": methods.asked,
    "what users return": returned.returned,
    "files": files.files,
}

MODULES = (
    "layers", "losses", "metrics", "optimizers", "callbacks", "initializers", "regularizers", "constraints", "activations",
    "random", "config", "utils", "edit", "insight",
)  # fmt: skip
LEFT_OUT = {
    "layers.Layer": "the base class: its methods are called",
    "losses.Loss": "a base class", "metrics.Metric": "a base class", "optimizers.Optimizer": "a base class",

    "losses.check_labels": "the check of labels itself",
    "edit.Edit": "a record", "insight.Change": "a record",
    "insight.Diff": "a record", "insight.Row": "a record", "insight.Summary": "a record",
}  # fmt: skip


def public_names() -> list[set[str]]:
    """Return the public names that take arguments, those of one thing together."""
    found: dict[int, set[str]] = {}
    for module in MODULES:
        room = getattr(anabranch, module)
        for name in dir(room):
            thing = getattr(room, name)
            if callable(thing) and bool(signature(thing).parameters):
                found.setdefault(id(thing), set()).add(f"{module}.{name}")
    return list(found.values())
