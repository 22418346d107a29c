"""Before data flow: the model is compiled, and a Sequential without an Input learns its shape from the data."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch.utils.data import Dataset, IterableDataset

from anabranch import _tree
from anabranch._errors import AnabranchError, NotReadyError
from anabranch.training._arrays import tensors_in
from anabranch.training._feeding import ModelFeed, is_in_memory, unpack
from anabranch.training.by_hand import ByHand, NestFeed, trains_by_hand
from anabranch.training.compiling import Compiled
from anabranch.training.step import Report, Step, silent, test_step, train_step

P = ParamSpec("P")
R = TypeVar("R")


def placed(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors of ours say in which method of which model they arose, where nothing nearer is known."""

    @functools.wraps(function)
    def at_model(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AnabranchError as error:
            error.at(f"{function.__name__} of model {model_of(args, kwargs).name!r}")
            raise

    return at_model


def model_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the first argument of the functions above, however it was given."""
    return args[0] if args else kwargs["model"]


def prepared(model: Any, x: Any, use: str) -> tuple[Compiled | ByHand, Any]:
    """Return what ``compile`` made, bound to the model's outputs, and ``x``; NotReadyError where compile was not called."""
    compiled: Compiled | None = model._compiled
    if compiled is None:
        raise NotReadyError(
            f"{use} needs a compiled model.",
            repair="model.compile(optimizer='adam', loss='…') first",
        )
    if trains_by_hand(model):
        return ByHand(model, compiled), x
    x = with_graph(model, x)
    return compiled.bind(model), x


def with_graph(model: Any, x: Any) -> Any:
    """Make the graph of a model that waits for its data; return ``x``, with what was looked at put back."""
    if model.running_graph is not None or x is None:
        return x
    if is_in_memory(x):
        model.follow(tensors_in(x, "x"))
        return x
    if isinstance(x, Dataset):
        first, _, _ = unpack(next(iter(x)) if isinstance(x, IterableDataset) else x[0])
        model.follow(_tree.map_leaves(lambda tensor: tensor[None], tensors_in(first, "x")))
        return x
    item = next(batches := iter(x), None)
    if item is None:
        return x
    first, _, _ = unpack(item)
    model.follow(tensors_in(first, "x"))
    return itertools.chain([item], batches) if hasattr(x, "__next__") else x


def feed_for(model: Any, run: Compiled | ByHand, class_weight: dict[int, float] | None = None) -> ModelFeed | NestFeed:
    """Return what makes batches of the user's data for this run."""
    if isinstance(run, ByHand):
        return NestFeed(class_weight)
    return ModelFeed(model, run.targets, class_weight)


def step_for(model: Any, run: Compiled | ByHand, *, training: bool, report: Report = silent) -> Step:
    """Return the function that takes one step of this run; ``report`` takes a line where something takes long."""
    if isinstance(run, ByHand):
        return run.step(training)
    return (train_step if training else test_step)(model, run, report)
