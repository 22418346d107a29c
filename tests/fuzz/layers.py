"""Single layers with drawn settings, over dtypes and sizes: what they compute, learn, hold, and say of themselves."""

from __future__ import annotations

import inspect
import re
from random import Random
from typing import Any

import keras
import numpy as np
from every_layer import CASES, Case
from fuzz import values
from fuzz.beside import Pair, play
from other_values import FOR, OTHERS, REFUSED

from anabranch import layers

CODE = {"Lambda", "Pipeline"}  # their settings are functions or layers
ROWS = [
    case for case in CASES
    if case.inputs and case.make not in CODE and case.prepare is None and hasattr(keras.layers, case.make)
]  # fmt: skip
NAMES = sorted({case.make for case in ROWS})
BY_NAME = {name: [case for case in ROWS if case.make == name] for name in NAMES}
POLICIES = ("mixed_bfloat16", "mixed_float16", "float64", "float16", "bfloat16")
RANDOM = {case.make for case in CASES if case.random}
DROPS = re.compile(r"dropout=(?!(0|0[.]0|None)[,)])")
"""Settings by which a layer of any kind draws in training."""


def made(rng: Random, case: Case, changed: float = 0.3, dtypes: float = 0.1) -> str:
    """Return code that makes a row's layer, with some settings drawn anew."""
    kind = getattr(layers, case.make)
    taken = inspect.signature(getattr(keras.layers, case.make)).parameters
    config = {name: repr(value) for name, value in case.config.items() if name in taken and values.is_plain(value)}
    for name, field in kind._fields_.items():
        if rng.random() > changed or (case.make, name) in REFUSED or name in ("name", "dtype", "seed") or name not in taken:
            continue
        others = FOR.get((case.make, name), OTHERS.get(name, ()))
        text = values.setting(rng, field, kind, case.config.get(name), others)
        if text is not None:
            config[name] = text
    if rng.random() < dtypes:
        config["dtype"] = repr(rng.choice(POLICIES))
    return f"keras.layers.{case.make}({', '.join(f'{name}={text}' for name, text in config.items())})"


def case(seed: int, only: str = "") -> Pair:
    """Run the case of a seed.

    Args:
        seed: of the draws.
        only: a pattern; layers whose names it is not found in are not drawn.
    """
    rng = Random(seed)
    name = rng.choice([each for each in NAMES if re.search(only, each)])
    row = rng.choice(BY_NAME[name])
    arrays = [np.empty((2, *(size or 2 for size in shape[1:]))) for shape in row.inputs]
    sizes = values.sizes(rng, arrays, 0.4)
    batch = rng.choice((0, 1, 2, 2, 3, 3, 3))
    shapes = [(batch, *(sizes[size] for size in each.shape[1:])) for each in arrays]
    dtype = row.dtype if rng.random() < 0.6 else rng.choice(values.DTYPES)
    pick = [None, "first", "first", "all", "some"]
    unknown = rng.choice(pick)
    open_ = [
        tuple(
            None if axis == 0 or unknown == "all" or (unknown == "some" and rng.random() < 0.3) else size
            for axis, size in enumerate(shape)
        ) if unknown else shape
        for shape in shapes
    ]  # fmt: skip
    names = [f"x{number}" for number in range(len(shapes))]
    whole = f"[{', '.join(names)}]" if row.as_list else names[0]
    x = ", ".join(names[number] for number in row.positional) or whole
    low, high = (0.1, 1.1) if row.positive else (-2.0, 2.0)
    if row.dtype.startswith(("int", "uint")):
        low, high = 0, row.int_input_max
    flags = flags_of(rng, row)
    mode = flags + ", training=False" if "training" in _call(name) else flags
    masks, given = masks_of(rng, name, [shapes[number] for number in row.positional or range(len(shapes))])
    mode += given
    lines = [
        *masks,
        f"layer = {made(rng, row)}",
        *(f"s{n} = keras.Input(batch_shape={shape}, dtype={dtype!r})" for n, shape in enumerate(open_)),
        f"s = layer({x.replace('x', 's')}{flags})",
        *(
            f"{n} = draw({rng.randrange(1000)}, {dtype!r}, {shape}, {low}, {high})"
            for n, shape in zip(names, shapes, strict=True)
        ),
        f"layer({x}{mode})",
        f"fill(layer, {rng.randrange(100)})",
        f"y = layer({x}{mode})",
        "#: fits s y",
        "#: same s",
        "#: same y",
        "w = [weight.numpy() for weight in layer.weights]",
        "#: same w",
        "c = layer.get_config()",
        "c = {name: value for name, value in c.items() if name not in ('name', 'dtype', 'seed')}",
        "#: same c",
        "layer2 = type(layer).from_config(layer.get_config())",
        "c = {name: value for name, value in layer2.get_config().items() if name not in ('name', 'dtype', 'seed')}",
        "#: same c",
    ]
    random = name in RANDOM or DROPS.search("".join(lines)) is not None
    if not random:
        lines += [f"z = layer({x}{flags}{given}, training=True)", "#: same z"] if "training" in _call(name) else []
        lines += ["w = [weight.numpy() for weight in layer.weights]", "#: same w"]
    if batch and dtype in values.FLOATS and not random and rng.random() < 0.6:
        lines += [f"g = gradients(layer, {x}{flags}{given})", "#: same g"]
    if rng.random() < 0.3 and dtype != "bfloat16":  # which NumPy has not
        lines += [f"m = keras.Model({whole.replace('x', 's')}, s)", f"p = m.predict({_plain(whole)}, verbose=0)", "#: same p"]
    rough = 500.0 if re.search("float(16|64)", "".join(lines)) else 3.0
    return play(f"layers.{name}", lines, rough, lambda line: line.startswith(("layer = ", "layer(", "x")))


def masks_of(rng: Random, name: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Return lines that draw masks which a layer takes, for values of some shapes, and code that gives them to its call."""
    first, last = shapes[0], shapes[-1]
    taken, steps, keys = _call(name).keys(), first[:2], last[:2]
    known = {"query_mask": steps, "value_mask": keys, "key_mask": keys, "attention_mask": (*steps, *last[1:2])}
    wanted = {each: shape for each, shape in known.items() if each in taken and rng.random() < 0.2}
    if name == "MultiHeadAttention":  # where Keras ignores a query_mask, as docs/differences.md has it
        wanted.pop("query_mask", None)
    if "mask" in taken and rng.random() < 0.3:
        wanted["mask"] = first if name == "Softmax" else first[:-1] if name == "BatchNormalization" else steps
    lines = [f"k{number} = draw({rng.randrange(1000)}, 'bool', {shape})" for number, shape in enumerate(wanted.values())]
    given = "".join(f", {each}=k{number}" for number, each in enumerate(wanted))
    if "Attention" in name and "mask" in wanted:
        lines.append(f"k1 = draw({rng.randrange(1000)}, 'bool', {shapes[1][:2]})")
        given = ", mask=[k0, k1]"
    return lines, given


def flags_of(rng: Random, row: Case) -> str:
    """Return code of the arguments beside the inputs that are true or false, with which a row calls its layer, or of some."""
    return "".join(f", {name}={value}" for name, value in row.extra.items() if isinstance(value, bool) and rng.random() < 0.8)


def _call(name: str) -> Any:
    return inspect.signature(getattr(keras.layers, name).call).parameters


def _plain(x: str) -> str:
    return "[" + ", ".join(f"{each}.numpy()" for each in x[1:-1].split(", ")) + "]" if x.startswith("[") else f"{x}.numpy()"
