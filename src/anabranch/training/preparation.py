"""Before data are read: the objective of a run, and the graph of a model that waits for its data."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch.utils.data import Dataset, IterableDataset

from anabranch import _tree, engine
from anabranch._errors import AnabranchError
from anabranch.callbacks import CallbackList
from anabranch.graph.call_site import warn
from anabranch.training.custom_step import CustomPredictStep, CustomStep
from anabranch.training.data.adapters import is_in_memory
from anabranch.training.data.arrays import tensors_in
from anabranch.training.data.batch import Batch
from anabranch.training.data.binder import Binder, ModelBinder, NestBinder
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.objective import CompiledObjective, Objective, need_compiled
from anabranch.training.steps import PredictStep
from anabranch.training.strategy import Strategy
from anabranch.training.trainable import Trainable, has_custom_step

P = ParamSpec("P")
R = TypeVar("R")
_TRAINING = ("fit", "train_on_batch", "train_function")


def located(function: Callable[Concatenate[Trainable, P], R]) -> Callable[Concatenate[Trainable, P], R]:
    """Let errors of ours say in which method of which model they arose, where they know nothing more exact."""

    @functools.wraps(function)
    def at_model(model: Trainable, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(model, *args, **kwargs)
        except AnabranchError as error:
            error.at(f"{function.__name__} of model {model.name!r}")
            raise

    return at_model


def objective_for(model: Trainable, x: object, use: str) -> tuple[Objective, Any]:
    """Return the objective of a run, bound to the model's outputs, and ``x``; NotReadyError where compile was not called."""
    compiled, strategy = need_compiled(model, use), model._training_strategy_
    if use in _TRAINING:
        strategy.check()
    engine.synchronise_seed()
    if has_custom_step(model):
        return CustomStep(model, compiled, strategy), x
    x = with_graph(model, x)
    return CompiledObjective(model, compiled.bind(model), strategy), x


def prediction_for(model: Trainable, x: object) -> tuple[Binder, Callable[[Batch], Any], Any]:
    """Return what binds data for predictions, what predicts a batch, and ``x``."""
    strategy = model._training_strategy_
    engine.synchronise_seed()
    if "predict_step" in model._overrides_:
        return NestBinder(strategy), CustomPredictStep(model), x
    x = with_graph(model, x)
    return ModelBinder(model, None, strategy), PredictStep(model, strategy), x


def with_graph(model: Trainable, x: _tree.Nest) -> _tree.Nest:
    """Build the graph of a model that waits for its data; return ``x``, with what was read of it put back."""
    if model._running_graph_ is not None or x is None:
        return x
    if is_in_memory(x):
        model._follow_(tensors_in(x, "x"))
        return x
    if isinstance(x, Dataset):
        first, _, _ = unpack(next(iter(x)) if isinstance(x, IterableDataset) else x[0])
        model._follow_(_tree.map_leaves(lambda tensor: tensor[None], tensors_in(first, "x")))
        return x
    item = next(batches := iter(x), None)
    if item is None:
        return x
    first, _, _ = unpack(item)
    model._follow_(tensors_in(first, "x"))
    return itertools.chain([item], batches) if isinstance(x, Iterator) else x


def callbacks_for(
    callbacks: object, model: Trainable, strategy: Strategy, *, epochs: int, steps: int | None, verbose: int | str
) -> CallbackList:
    """Return the user's callbacks with history and progress, which only the process that writes shows."""
    if isinstance(callbacks, CallbackList):
        return callbacks
    shown = verbose if strategy.writes else 0
    return CallbackList(callbacks, model, {"epochs": epochs, "steps": steps, "verbose": shown}, shown)


def warn_short(count: int, wanted: int | None) -> None:
    """Warn that data ended before as many steps as were asked for."""
    warn(
        f"The data ran out after {count} of {wanted} steps, so the epoch ends here. Give at least as many batches as "
        "steps × epochs, or a source that can be iterated again."
    )
