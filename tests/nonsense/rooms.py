"""The rooms of the library and what is called in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature

from nonsense import functions, layers, models, small, training
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
}

MODULES = ("layers", "losses", "metrics", "optimizers", "callbacks", "initializers", "regularizers", "constraints", "activations",
           "random", "config", "utils", "edit", "insight")  # fmt: skip
LEFT_OUT = {
    "layers.Layer": "the base class: its methods are called",
    "losses.Loss": "a base class", "metrics.Metric": "a base class", "optimizers.Optimizer": "a base class",
    "initializers.Initializer": "a base class", "regularizers.Regularizer": "a base class",
    "constraints.Constraint": "a base class", "losses.check_labels": "the check of labels itself",
    "utils.Sequence": "Keras 2's name of PyDataset", "edit.Edit": "a record", "insight.Change": "a record",
    "insight.Diff": "a record", "insight.Row": "a record", "insight.Summary": "a record",
}  # fmt: skip


def public_names() -> set[str]:
    """Return the public names that take arguments; other names of one thing count as that one."""
    found: dict[int, str] = {}
    for module in MODULES:
        room = getattr(anabranch, module)
        for name in dir(room):
            thing = getattr(room, name)
            takes = callable(thing) and bool(signature(thing).parameters)
            if takes and not name.islower() == isinstance(thing, type):
                found.setdefault(id(thing), f"{module}.{name}")
    return set(found.values())
