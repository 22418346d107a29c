"""Values for arguments and settings, as code: by the name of a parameter, by a declared field, by what the tables have."""

from __future__ import annotations

import inspect
import re
from random import Random
from typing import Any

import numpy as np

import anabranch
from anabranch._errors import AnabranchError

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "bfloat16", "float32", "float64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
SIZES = (0, 1, 1, 2, 3, 5, 17)
NUMBERS = ("0", "1", "-1", "2", "True", "2.5", "-0.5", "0.0", "200", "-200", "70000", "2**31", "1e10")

ACTIVATIONS = ("relu", "tanh", "sigmoid", "softmax", "elu", "gelu", "silu", "softplus", "linear", "exponential", "leaky_relu")
CODES: dict[str, tuple[str, ...]] = {  # by what a name ends with
    "initializer": ("'zeros'", "'ones'", "'he_normal'", "keras.initializers.RandomNormal(stddev=0.1)", "'glorot_normal'"),
    "regularizer": ("None", "'l2'", "keras.regularizers.L1(0.1)", "keras.regularizers.L1L2(0.1, 0.2)"),
    "constraint": ("None", "'non_neg'", "keras.constraints.MaxNorm(0.5)", "keras.constraints.UnitNorm(axis=0)"),
    "activation": tuple(map(repr, ACTIVATIONS)),
    "keepdims": ("True",),
    "dtype": tuple(map(repr, DTYPES)),
    "data_format": ("'channels_last'", "'channels_first'"),
    "padding": ("'valid'", "'same'", "'SAME'", "'causal'"),
    "method": ("'linear'", "'lower'", "'higher'", "'midpoint'", "'nearest'"),
    "q": ("0.3", "[0.0, 0.5]", "1.0", "0"),
    "epsilon": ("1e-3", "0.1", "1e-7"),
    "mode": ("'constant'", "'reflect'", "'symmetric'", "'reduced'", "'complete'"),
    "k": ("0", "1", "-1", "2"),
    "offset": ("0", "1", "-1", "3"),
    "axis1": ("0", "1", "-1"),
    "axis2": ("0", "1", "-2"),
    "initial": ("0", "1.5", "-2"),
    "decimals": ("0", "1", "-1"),
    "equal_nan": ("True",),
    "from_logits": ("True",),
    "indexing": ("'ij'", "'xy'"),
    "side": ("'left'", "'right'"),
    "reduction": ("'add'", "'max'", "'min'", "'mul'", "None"),
    "ord": ("None", "1", "2", "'fro'", "np.inf", "-np.inf", "0", "3", "'nuc'"),
    "order": ("1", "2", "3"),
    "num_segments": ("None", "3", "5"),
    "minlength": ("0", "5"),
    "num": ("0", "1", "5"),
    "n": ("0", "1", "2"),
    "loss_scale_factor": ("8.0", "0.5"),
    "interpolation": ("'nearest'", "'bilinear'", "'bicubic'"),
}
"""Code of values, by a parameter's name or by what follows the last underscore in it."""


def parameter(rng: Random, name: str, default: Any, rank: int) -> str | None:
    """Return code for a value of a function's parameter, or None where nothing is known of it."""
    if name == "axis" or name == "axes":
        return axis(rng, rank)
    for known in (name, name.rpartition("_")[2]):
        if known in CODES:
            return rng.choice(CODES[known])
    if isinstance(default, bool):
        return repr(not default)
    if isinstance(default, int):
        return repr(default + rng.choice((-1, 0, 1, 2)))
    if isinstance(default, float):
        return repr(rng.choice((default, default * 2, default / 2, 0.0, 0.5, -1.0)))
    return None


def axis(rng: Random, rank: int) -> str:
    """Return code for an axis or several of a tensor, seldom out of range."""
    low, high = (-rank, max(rank, 1)) if rng.random() < 0.97 else (-rank - 1, rank + 1)
    several = rng.random()
    if several < 0.15:
        return "None"
    if several < 0.4 and rank:
        chosen = sorted(rng.sample(range(rank), rng.randint(1, rank)))
        return repr(tuple(each - rank if rng.random() < 0.4 else each for each in chosen))
    return repr(rng.randrange(low, high))


def other(rng: Random, value: Any, name: str, default: Any, rank: int) -> str:
    """Return code for a value near the given one."""
    if rng.random() < 0.5 or isinstance(value, str):
        found = parameter(rng, name, default, rank)
        if found is not None:
            return found
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int):
        return repr(rng.choice((value + 1, value - 1, value, 0, 1, -value)))
    if isinstance(value, float):
        return repr(rng.choice((value, 2 * value, -value, 0.0, 1)))
    if isinstance(value, (tuple, list)) and all(isinstance(each, int) for each in value):
        return repr(type(value)(max(each + rng.choice((0, 0, 0, 1, -1)), -1) for each in value))
    return repr(value)


def setting(rng: Random, field: Any, owner: type, given: Any, others: tuple[Any, ...]) -> str | None:
    """Return code for a value of a declared field, seldom one that it does not take; None where nothing is known of it."""
    text = _setting(rng, field, owner, given, others)
    if text is not None and rng.random() < 0.97:
        try:
            field.converted(eval(text, {"keras": anabranch, "np": np}), owner)
        except AnabranchError:
            return None
    return text


def _setting(rng: Random, field: Any, owner: type, given: Any, others: tuple[Any, ...]) -> str | None:
    name, default = field.name, field.default
    value = given if given is not None else default
    plain = [each for each in others if is_plain(each)]
    if plain and rng.random() < 0.4:
        return repr(rng.choice(plain))
    for known in (name, name.rpartition("_")[2]):
        if known in CODES and known not in ("axis", "n", "mode", "offset", "k", "num", "q"):
            return rng.choice(CODES[known])
    choices = re.findall(r"'[^']*'", field.kind.words)
    if choices:
        return rng.choice(choices)
    rank = getattr(owner, "rank", None)
    if name in ("kernel_size", "strides", "pool_size", "dilation_rate", "size", "cropping", "output_padding") or (
        name == "padding" and not isinstance(value, str)
    ):
        size = lambda: rng.choice((1, 1, 2, 3))  # noqa: E731
        return repr(size() if rng.random() < 0.6 or not rank else tuple(size() for _ in range(rank)))
    if name == "axis":
        return repr(rng.choice((-1, 1, 2, -2, [1], [1, 2], [-1])))
    if isinstance(value, bool):
        return repr(rng.choice((True, False)))
    if isinstance(value, int):
        return repr(rng.choice((1, 2, 3, 4, value, 7)))
    if isinstance(value, float):
        return repr(rng.choice((value, 0.1, 0.5, 0.9, 1.5, 1, 0.0)))
    if "number" in field.kind.words:
        return repr(rng.choice((0.1, 0.5, 1, 2.0)))
    return repr(plain[0]) if plain else None


def is_plain(value: Any) -> bool:
    """Return whether a value's ``repr`` is code for it."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, value.values()))
    return value is None or isinstance(value, (bool, int, float, str))


def sizes(rng: Random, arrays: list[np.ndarray], changed: float) -> dict[int, int]:
    """Return what each size that arrays have becomes, so that equal ones stay equal."""
    known = {size for array in arrays for size in array.shape}
    if rng.random() > changed:
        return {size: size for size in known}
    return {size: size if rng.random() < 0.4 else rng.choice(SIZES) for size in sorted(known)}


def defaults_of(function: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function that may be given by name."""
    found = inspect.signature(function).parameters
    return {name: each for name, each in found.items() if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
