"""Runs that go on where they were: the state of a fit in progress, for the callbacks that save it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from anabranch import config, runtime
from anabranch.callbacks import CallbackList
from anabranch.metrics import Metric
from anabranch.optimizers import Optimizer
from anabranch.random import SeedGenerator
from anabranch.registry import Json
from anabranch.saving.weights import weight_paths
from anabranch.training.copies import copied, restored
from anabranch.training.data.epochs import Epochs
from anabranch.training.data.py_dataset import PyDataset
from anabranch.training.identity import compile_identity, model_identity
from anabranch.training.objective import Objective
from anabranch.training.trainable import Trainable

_PLAIN = (bool, int, float, str, type(None))
_FLAGS = ("warned_of_nan", "exhausted", "validated")  # of a fit


@runtime_checkable
class Drawing(Protocol):
    """A layer that may have a generator of its own."""

    seed: Any
    _generator: torch.Generator | None

    def generator(self) -> torch.Generator | None:
        """Return it."""


class Running(Protocol):
    """A fit in progress."""

    model: Trainable
    objective: Objective
    batches: Epochs
    validation: Epochs | None
    callbacks: CallbackList
    epoch: int
    done: int


class Resumption:
    """Lets callbacks save a fit in progress, and continues one that they saved.

    Args:
        fit: the fit, which has not begun.
    """

    def __init__(self, fit: Running) -> None:
        self._fit = fit
        self._backups = fit.callbacks.backups if fit.model._training_strategy_.writes else []
        self._logs: dict[str, Any] = {}
        self._left: Mapping[str, Any] | None = None  # what an earlier run left
        fit.batches.watch()
        if fit.validation is not None and fit.validation.source.once:
            fit.validation.watch()

    @functools.cached_property
    def identity(self) -> dict[str, dict[str, Json]]:
        """What must not differ where the fit is resumed."""
        fit, compiled = self._fit, self._fit.objective.compiled
        if compiled.identity is None:  # a fit in the same process has changed learning rates and the like
            compiled.identity = {"model": model_identity(fit.model), "compile": compile_identity(compiled)}
        data: dict[str, Json] = {"steps_per_epoch": fit.batches.limit, **fit.batches.source.identity()}
        if fit.validation is not None:
            held = {"validation_steps": fit.validation.limit, **fit.validation.source.identity()}
            data |= {f"validation data, {name}": value for name, value in held.items()}
        return {**compiled.identity, "data": data}

    # What the loop calls

    def begin(self, first: int) -> tuple[int, dict[str, Any]]:
        """Continue what a backup holds; return the epoch to begin with, and the logs of the one before."""
        self.identity  # noqa: B018 - as it is now, before training changes rates and builds layers
        for backup in self._backups:
            self._left = backup.find(self)
            if self._left is not None:
                break
        if self._left is None:
            return first, {}
        if not self._left["done"]:
            self._resume_data(self._left)  # which draws random numbers
        self._restore(self._left)
        return self._left["epoch"], self._left["logs"]

    def epoch_begun(self) -> None:
        """Continue inside the epoch where the backup was taken there."""
        left, self._left = self._left, None
        if left is not None and left["done"]:
            self._resume_data(left)
            self._restore(left)
            self._fit.done = left["done"]

    def step_done(self) -> None:
        """Let backups be taken, now that all callbacks have seen the batch."""
        if not self._fit.model.stop_training:
            for backup in self._backups:
                backup.step_done(self)

    def epoch_done(self, logs: Mapping[str, Any]) -> None:
        """Let backups be taken, now that all callbacks have seen the epoch."""
        self._logs = dict(logs)
        self._fit.epoch, self._fit.done = self._fit.epoch + 1, 0
        for backup in self._backups:
            backup.epoch_done(self)

    def finished(self) -> None:
        """Let backups be deleted."""
        for backup in self._backups:
            backup.finished(interrupted=self._fit.callbacks.history.interrupted)

    # State

    def state(self) -> dict[str, Any]:
        """Return a copy of all that the rest of the run depends on."""
        fit, model = self._fit, self._fit.model
        optimizer, objective = fit.objective.optimizer, fit.objective
        inside = fit.done > 0
        found: dict[str, Any] = copied({
            "epoch": fit.epoch, "done": fit.done, "logs": self._logs, "stopped": model.stop_training,
            "seed": config.seed(), "build": model.get_build_config(),
            "random": runtime.random_states(), "generators": {key: made.get_state() for key, made in generators(model)},
            "weights": {path: weight.value for path, weight in weight_paths(model).items()},
            "trainable": [weight.trainable for weight in weight_paths(model).values()],
            "optimizer": optimizer.state_dict(), "settings": _settings(optimizer),
            "objective": objective.state() if inside else None,
            "metrics": [metric._saved_state_() for metric in metrics_with_state(model)] if inside else None,
            "callbacks": [(name, callback.get_state()) for name, callback in self._others()],
            "data": fit.batches.state(inside=inside),
            "validation": fit.validation.state(inside=False) if fit.validation is not None else {},
            "fit": {name: vars(fit)[name] for name in _FLAGS},
        })  # fmt: skip
        return found

    def _restore(self, saved: Mapping[str, Any]) -> None:
        state, fit, model = restored(saved), self._fit, self._fit.model
        if state["build"] and not model.built:
            model.build_from_config(state["build"])
        paths = weight_paths(model)
        for weight, trainable in zip(paths.values(), state["trainable"], strict=True):
            if weight.trainable != trainable:
                weight.trainable = trainable
        with torch.no_grad():
            for path, weight in paths.items():
                weight.value.copy_(state["weights"][path])
        optimizer = fit.objective.optimizer
        if model.trainable_weights:
            optimizer.build(model.trainable_weights)
        optimizer.load_state_dict(state["optimizer"])
        for name, value in state["settings"].items():
            if _settings(optimizer).get(name, value) != value:
                setattr(optimizer, name, value)
        if state["optimizer"].get("learning_rate") is not None:
            optimizer.learning_rate = state["optimizer"]["learning_rate"]
        if state["objective"] is not None:
            fit.objective.set_state(state["objective"])
            for metric, values in zip(metrics_with_state(model), state["metrics"], strict=True):
                metric._load_saved_state_(values)
        self._restore_callbacks(state["callbacks"])
        model.stop_training = state["stopped"]
        vars(fit).update(state["fit"])
        self._restore_random(state)

    def _restore_random(self, state: Mapping[str, Any]) -> None:
        _follow_seed(state)
        runtime.synchronise_seed()
        now = state["random"]
        items = self._fit.batches.source.items
        if state["done"] and isinstance(items, PyDataset) and items.workers:
            # A thread draws ahead of the steps, so where they were is where going there again has led.
            now = {**now, **{name: value for name, value in runtime.random_states().items() if name != "torch"}}
        runtime.set_random_states(now)
        made = dict(generators(self._fit.model))
        for key, value in state["generators"].items():
            if key in made:
                made[key].set_state(value)

    def _restore_callbacks(self, states: list[tuple[str, Any]]) -> None:
        """Give each callback the state of the one of its class, in their order."""
        remaining = list(states)
        for name, callback in self._others():
            found = next((entry for entry in remaining if entry[0] == name), None)
            if found is not None:
                remaining.remove(found)
                callback.set_state(found[1])

    def _resume_data(self, saved: Mapping[str, Any]) -> None:
        state = restored(saved)
        _follow_seed(state)
        self._fit.batches.resume(state["data"])
        if self._fit.validation is not None:
            self._fit.validation.resume(state["validation"])

    def _others(self) -> Iterator[tuple[str, Any]]:
        for callback in self._fit.callbacks.callbacks:
            if callback not in self._backups:
                yield type(callback).__name__, callback


def _follow_seed(state: Mapping[str, Any]) -> None:
    """Set the seed of the run that is resumed, where nobody set it."""
    if config.seed() != state["seed"]:
        config.set_seed(state["seed"])


def _settings(optimizer: Optimizer) -> dict[str, Any]:
    """Return the plain settings of an optimizer, which callbacks may change while it trains."""
    found = {name: getattr(optimizer, name) for name, each in optimizer._fields_.items() if not each.fixed}
    return {name: value for name, value in found.items() if type(value) in _PLAIN}


def metrics_with_state(model: Trainable) -> list[Metric]:
    """Return the metrics in use whose state can be saved."""
    return [metric for metric in model.metrics if isinstance(metric, Metric)]


def generators(model: Trainable) -> Iterator[tuple[str, torch.Generator]]:
    """Yield the generators that layers draw from."""
    for index, layer in enumerate(model._inner_layers_()):
        if isinstance(layer, Drawing):
            drawn = layer.generator()  # made now, so that it can be set before the first step
            if drawn is not None:
                yield f"{index}._generator", drawn
        for name, value in vars(layer).items():
            if isinstance(value, SeedGenerator):
                yield f"{index}.{name}", value.generator()
            elif isinstance(value, torch.Generator) and not isinstance(layer, Drawing):
                yield f"{index}.{name}", value
