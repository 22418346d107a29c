"""Before data flow: the model is compiled, and a Sequential without an Input learns its shape from the data."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch.utils.data import Dataset, IterableDataset

from anabranch import _tree
from anabranch._errors import AnabranchError, NotReadyError
from anabranch.training._arrays import to_tensor
from anabranch.training._feeding import is_in_memory, unpack
from anabranch.training.compiling import Compiled

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


def prepared(model: Any, x: Any, use: str) -> tuple[Compiled, Any]:
    """Return what ``compile`` made, bound to the model's outputs, and ``x``; NotReadyError where compile was not called."""
    compiled: Compiled | None = model._compiled
    if compiled is None:
        raise NotReadyError(
            f"{use} needs a compiled model.",
            repair="model.compile(optimizer='adam', loss='…') first",
        )
    x = with_graph(model, x)
    return compiled.bind(model), x


def with_graph(model: Any, x: Any) -> Any:
    """Make the graph of a model that waits for the shape of its data; return ``x``, with what was looked at put back."""
    if model.graph is not None or x is None:
        return x
    batched = True
    if is_in_memory(x):
        first = x
    elif isinstance(x, Dataset):
        first, _, _ = unpack(next(iter(x)) if isinstance(x, IterableDataset) else x[0])
        batched = False
    else:
        batches = iter(x)
        item = next(batches, None)
        if item is None:
            return x
        if hasattr(x, "__next__"):
            x = itertools.chain([item], batches)
        first, _, _ = unpack(item)
    found = [first] if not _tree.is_nest(first) else _tree.leaves(first)[:1]
    shape = tuple(to_tensor(first if is_number_list(first) else found[0], "x").shape)
    model.build((None, *(shape[1:] if batched else shape)))
    return x


def is_number_list(value: Any) -> bool:
    """Return whether a list is one array written out, rather than a list of arrays."""
    return isinstance(value, (list, tuple)) and bool(value) and not hasattr(value[0], "shape")
