"""Functions of values: ops, activations, random numbers, and what is applied to weights."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from every_op import CASES, Fixed, Op, draw
from nonsense.target import Target, function

import anabranch as ab
from anabranch import _tree, activations as activation_functions, constraints, initializers, ops as functions, regularizers

FIRST = {case.name: case for case in reversed(CASES)}
X = draw(3, 4)
ASKING = ("convert_to_numpy", "is_tensor", "shape", "ndim", "dtype", "size")


def _named(case: Op) -> dict[str, Any]:
    return dict(inspect.signature(operator.attrgetter(case.name)(functions)).bind(*case.args, **case.kwargs).arguments)


def _called(name: str) -> Any:
    """Return a function of ``ops`` that takes everything by name."""
    found = operator.attrgetter(name)(functions)
    spread = [each.name for each in inspect.signature(found).parameters.values() if each.kind == each.VAR_POSITIONAL]
    options = [each.name for each in inspect.signature(found).parameters.values() if each.kind == each.VAR_KEYWORD]
    if not spread:
        return lambda **given: found(**{**{k: v for k, v in given.items() if k not in options}, **given.get("kwargs", {})})

    def call(**given: Any) -> Any:
        front = []
        for name in inspect.signature(found).parameters:
            if name == spread[0]:
                rest = given.pop(name, ())
                return found(*front, *(rest if isinstance(rest, tuple) else (rest,)), **given)
            front.append(given.pop(name))
        raise RuntimeError("unreachable")

    return call


def _targets(kind: str) -> Iterator[Target]:
    for name, case in FIRST.items():
        if kind and not case.symbolic:
            continue
        found = operator.attrgetter(name)(functions)
        takes = tuple(each.name for each in inspect.signature(found).parameters.values() if each.kind != each.VAR_KEYWORD)

        def right(case: Op = case) -> dict[str, Any]:
            given = _named(case)
            return _tree.map_leaves(_symbol, given) if kind else given

        yield Target(f"ops.{name}{kind}", _called(name), right, takes)


def _symbol(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray) or isinstance(leaf, Fixed) or leaf.ndim == 0:
        return leaf
    return ab.Input(leaf.shape[1:], dtype=str(leaf.dtype))


def ops() -> Iterator[Target]:
    """Yield every function of ``ops``, on values."""
    yield from _targets("")
    for name in ASKING:
        yield function(f"ops.{name}", getattr(functions, name), lambda: {"x": X})


def symbolic_ops() -> Iterator[Target]:
    """Yield every function of ``ops`` that takes symbolic tensors, on these; of operators Python itself says what fits."""
    yield from _targets(" of a symbol")


def activations() -> Iterator[Target]:
    """Yield every activation, and the look-up of one."""
    registry = {
        "deserialize": lambda: {"config": "relu"}, "serialize": lambda: {"activation": activation_functions.relu},
        "output_shape": lambda: {"activation": activation_functions.relu, "input_shape": (None, 4)},
    }  # fmt: skip
    for name in dir(activation_functions):
        if name == "get":
            continue
        right = registry.get(name, lambda: {"x": torch.ones(2, 4)})
        found = getattr(activation_functions, name)
        if name not in registry and "x" not in inspect.signature(found).parameters:
            first = next(iter(inspect.signature(found).parameters))
            right = lambda first=first: {first: torch.ones(2, 4)}  # noqa: E731
        if name == "threshold":
            right = lambda: {"x": torch.ones(2, 4), "threshold": 0.5, "default_value": 0.0}  # noqa: E731
        yield function(f"activations.{name}", found, right)
    yield function("activations.get", activation_functions.get, lambda: {"identifier": "relu"})


RANDOM: dict[str, dict[str, Any]] = {
    "beta": {"shape": (2,), "alpha": 2.0, "beta": 3.0},
    "binomial": {"shape": (2,), "counts": 3, "probabilities": 0.5},
    "gamma": {"shape": (2,), "alpha": 2.0},
    "categorical": {"logits": X, "num_samples": 2},
    "dropout": {"inputs": torch.ones(2, 4), "rate": 0.5},
    "normal": {"shape": (2, 3)},
    "randint": {"shape": (2, 3), "minval": 0, "maxval": 5},
    "shuffle": {"x": torch.ones(4, 2)},
    "truncated_normal": {"shape": (2, 3)},
    "uniform": {"shape": (2, 3)},
}


def random() -> Iterator[Target]:
    """Yield the functions that draw numbers."""
    for name, right in RANDOM.items():
        yield function(f"random.{name}", getattr(ab.random, name), lambda right=right: right)
    yield function(
        "random.SeedGenerator", ab.random.SeedGenerator, lambda: {"seed": 3}, use=lambda made: ab.random.normal((2,), seed=made)
    )


def of_weights() -> Iterator[Target]:
    """Yield initializers, regularizers, constraints, and the look-up of each."""
    for room in (initializers, regularizers, constraints):
        word = room.__name__.rpartition(".")[2]
        for name in dir(room):
            thing = getattr(room, name)
            if isinstance(thing, type) and name[0].isupper() and thing.__init__ is not object.__init__ and name not in (
                "Initializer", "Regularizer", "Constraint",
            ):  # fmt: skip
                if room is initializers:
                    shape = (3, 1, 3) if name.startswith("STFT") else (3, 3)
                    yield function(f"{word}.{name}", thing, use=lambda made, shape=shape: made(shape))
                    yield function(f"{word}.{name}()", thing(), lambda shape=shape: {"shape": shape})
                else:
                    yield function(f"{word}.{name}", thing, use=lambda made: made(torch.ones(3, 3)))
                    yield Target(f"{word}.{name}()", lambda w, thing=thing: thing()(w), lambda: {"w": torch.ones(3, 3)}, ("w",))
        some = {"initializers": "ones", "regularizers": "l2", "constraints": "non_neg"}[word]
        yield function(f"{word}.get", room.get, lambda some=some: {"identifier": some})
        data = room.serialize(room.get(some))
        yield function(f"{word}.deserialize", room.deserialize, lambda data=data: {"config": data})
        first = next(iter(inspect.signature(room.serialize).parameters))
        yield function(f"{word}.serialize", room.serialize, lambda room=room, some=some, first=first: {first: room.get(some)})
    yield function("initializers.compute_fans", initializers.compute_fans, lambda: {"shape": (3, 4)})
