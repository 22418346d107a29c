"""Functions of ``ops``, called with other dtypes, sizes, ranks and arguments than those of their rows in ``every_op``."""

from __future__ import annotations

import inspect
import operator
import re
from random import Random
from typing import Any

import keras
import numpy as np
from every_op import CASES, Fixed, Op
from fuzz import values
from fuzz.beside import Pair, as_tensor, close, leaves, play
from fuzz.helpers import draw

from anabranch import ops

AXES = {"axis", "axes", "keepdims", "dtype", "decimals", "axis1", "axis2", "offset", "k", "n"}
FREE = {"x", "x1", "x2", "y", "array", "a", "condition", "xs"}
MORE = (  # rows with functions: as they are
    "cond", "switch", "while_loop", "fori_loop", "map", "vectorized_map", "scan", "associative_scan", "linalg.jvp",
)  # fmt: skip


def rows() -> list[Op]:
    """Return the rows of functions that both libraries have."""
    both = [case for case in CASES if case.name not in MORE and _has(keras.ops, case.name) and not case.free]
    return [case for case in both if not any(np.iscomplexobj(leaf) for leaf in leaves(case.args))]


def _has(room: Any, name: str) -> bool:
    for part in name.split("."):
        room = getattr(room, part, None)
    return room is not None


ROWS = rows()
NAMES = sorted({case.name for case in ROWS})
BY_NAME = {name: [case for case in ROWS if case.name == name] for name in NAMES}


class Call:
    """One call under way: arrays as lines of their own, arguments as code."""

    def __init__(self, rng: Random, case: Op) -> None:
        self.rng = rng
        self.case = case
        self.lines: list[str] = []
        self.shapes: list[tuple[str, tuple[int, ...], str]] = []  # of the arrays that a symbolic call has tensors for
        function = operator.attrgetter(case.name)(ops)
        self.parameters = inspect.signature(function).parameters
        bound = inspect.signature(function).bind(*case.args, **case.kwargs).arguments
        arrays = [leaf for leaf in leaves([*bound.values()]) if isinstance(leaf, np.ndarray)]
        plain = {name for name, value in bound.items() if not any(isinstance(leaf, np.ndarray) for leaf in leaves(value))}
        self.free = bool(arrays) and plain <= AXES and bound.keys() - plain <= FREE and rng.random() < 0.6
        self.sizes = values.sizes(rng, arrays, 0.5)
        self.rank = rng.choice((0, 1, 1, 2, 2, 3, 4)) if self.free else max((each.ndim for each in arrays), default=1)
        self.shape = tuple(rng.choice(values.SIZES) for _ in range(self.rank))
        self.dtype = rng.choice(values.DTYPES) if rng.random() < 0.6 else None
        self.code = self.arguments(bound)

    def arguments(self, bound: dict[str, Any]) -> str:
        """Return the arguments as code."""
        found: list[str] = []
        many = any(each.kind is each.VAR_POSITIONAL for each in self.parameters.values())
        for name, each in self.parameters.items():
            if name in bound:
                text = self.value(name, bound[name], each.default)
                if each.kind is each.VAR_POSITIONAL:
                    found.append(text[1:-1].rstrip(","))
                elif each.kind is each.VAR_KEYWORD:
                    found += [f"{key}={self.value(key, value, None)}" for key, value in bound[name].items()]
                elif each.kind is each.POSITIONAL_ONLY:
                    found.append(text)
                else:
                    named = not many and ((found and "=" in found[-1]) or self.rng.random() < 0.3)
                    found.append(f"{name}={text}" if named else text)
            elif each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) and self.rng.random() < 0.25:
                text = values.parameter(self.rng, name, each.default, self.rank)
                found += [f"{name}={text}"] if text is not None else []
        return ", ".join(found)

    def value(self, name: str, value: Any, default: Any) -> str:
        """Return code for an argument."""
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, (list, tuple)) and any(isinstance(leaf, np.ndarray) for leaf in leaves(value)):
            inner = ", ".join(self.value(name, each, None) for each in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
        if isinstance(value, np.generic):
            return repr(value.item())
        if name == "axis" and self.free:
            return values.axis(self.rng, self.rank)
        if isinstance(value, (slice, tuple)) and not values.is_plain(value):
            return repr(value)
        return values.other(self.rng, value, name, default, self.rank) if self.rng.random() < 0.3 else repr(value)

    def array(self, array: np.ndarray) -> str:
        """Return the name of a new array near the given one, or a number in its place."""
        rng = self.rng
        whole = array.dtype.kind in "iu"
        if not isinstance(array, Fixed) and rng.random() < 0.06:
            return rng.choice(values.NUMBERS)
        shape = self.like(array)
        dtype = str(array.dtype)
        if whole and not self.free and rng.random() < 0.6:
            dtype = rng.choice(("int32", "int64", "int32", "uint8", "int8", "int16"))
        elif rng.random() < 0.6:
            dtype = self.dtype or rng.choice(values.DTYPES)
        low, high = (float(array.min()), float(array.max()) + whole) if array.size and array.dtype != bool else (0.0, 1.0)
        if not np.isfinite((low, high)).all():
            low, high = -3.0, 3.0
        odd = ", odd=True" if dtype in values.FLOATS and (rng.random() < 0.05 or np.isnan(array).any()) else ""
        name = f"x{len(self.lines)}"
        self.lines.append(f"{name} = draw({rng.randrange(1000)}, {dtype!r}, {shape}, {low:.4g}, {high:.4g}{odd})")
        way = rng.random()
        if way < 0.05 and dtype != "bfloat16":
            return f"{name}.numpy()"
        if way < 0.08 and 0 not in shape:
            return f"{name}.tolist()"
        if shape and not isinstance(array, Fixed) and self.case.symbolic:
            self.shapes.append((name, shape, dtype))
        return name

    def like(self, array: np.ndarray) -> tuple[int, ...]:
        """Return a shape for an array: one that broadcasts to the free shape, or the row's with other sizes."""
        rng = self.rng
        if not self.free:
            return tuple(self.sizes[size] for size in array.shape)
        if rng.random() < 0.7:
            return self.shape
        cut = self.shape[rng.randint(0, self.rank) :]
        return tuple(1 if rng.random() < 0.3 else size for size in cut)

    def script(self) -> list[str]:
        """Return the lines of the eager and the symbolic call."""
        rng = self.rng
        call = f"keras.ops.{self.case.name}({self.code})"
        lines = [*self.lines, f"y = {call}", "#: same y"]
        used = [each for each in self.shapes if each[0] in self.code]
        if used:
            unknown = rng.choice(("none", "first", "first", "all", "some"))
            for name, shape, dtype in used:
                known = [None if _open(rng, unknown, axis) else size for axis, size in enumerate(shape)]
                lines.append(f"{name} = keras.Input(batch_shape={tuple(known)}, dtype={dtype!r})")
            lines += [f"s = {call}", "#: fits s y", "#: same s"]
            if rng.random() < 0.1 and unknown != "none":
                names = [name for name, _, _ in used]
                again = [line for line in self.lines if line.split(" = ")[0] in names]
                lines += [f"m = keras.Model([{', '.join(names)}], s)", *again, f"z = m([{', '.join(names)}])", "#: same z"]
        return lines

    def learned(self) -> list[str]:
        """Return the lines that compare gradients for the arrays of floats; none where they would say little."""
        if not self.case.gradient or self.rng.random() < 0.5 or "float16" in " ".join([*self.lines, self.code]):
            return []  # beside half floats, sums of gradients are rounded on the way
        drawn = [line.partition(" = ") for line in self.lines if re.search(r"'float(32|64)'.*(?<!odd=True)[)]$", line)]
        names = [name for name, _, _ in drawn if re.search(rf"\b{name}\b(?![.](numpy|tolist))", self.code)]
        if not names:
            return []
        arrays = ", ".join(names)
        return [
            *self.lines,
            f"f = lambda {arrays}: keras.ops.{self.case.name}({self.code})",
            f"g = gradients_of(f, {arrays})",
            "#: same g",
        ]


def _open(rng: Random, unknown: str, axis: int) -> bool:
    return unknown == "all" or (unknown == "first" and axis == 0) or (unknown == "some" and rng.random() < 0.4)


def case(seed: int, only: str = "") -> Pair:
    """Run the case of a seed; where NumPy agrees is noted in the differences.

    Args:
        seed: of the draws.
        only: a pattern; functions whose names it is not found in are not drawn.
    """
    rng = Random(seed)
    name = rng.choice([each for each in NAMES if re.search(only, each)])
    call = Call(rng, rng.choice(BY_NAME[name]))
    lines = call.script()
    pair = play(f"ops.{name}", lines)
    learned = call.learned()
    if learned and not pair.found and "y" in pair.theirs:
        pair.found += play(f"gradient of ops.{name}", learned, 10.0).found
    for each in pair.found:
        if each.lines[-1] in ("#: same y", "#: same z") and each.what in ("values", "shape", "count", "object"):
            line = f"y = keras.ops.{name}({call.code})"
            if _numpy_agrees([*call.lines, line], pair.ours[each.lines[-1][-1]]):
                each.what += ", NumPy agrees"
    return pair


class _NumPy:
    """The library's place, where NumPy runs a line: its function of the same name is given the same arguments."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        return _NumPy(f"{self.name}.{name}".removeprefix(".").removeprefix("ops."))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function, ours = operator.attrgetter(self.name)(np), inspect.signature(operator.attrgetter(self.name)(ops))
        named = () if isinstance(function, np.ufunc) else inspect.signature(function).parameters
        positional, by_name = [], {}
        for name, value in ours.bind(*args, **kwargs).arguments.items():
            if ours.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                positional.extend(value)
            elif name in named:
                by_name[name] = value
            else:
                positional.append(value)
        return function(*positional, **by_name)


def _numpy_agrees(lines: list[str], ours: Any) -> bool:
    names: dict[str, Any] = {"np": np, "keras": _NumPy(), "draw": _drawn}
    try:
        with np.errstate(all="ignore"):
            for line in lines:
                exec(line.replace(".numpy()", ""), names)
        mine, other = [as_tensor(each) for each in leaves(ours)], [as_tensor(np.asarray(each)) for each in leaves(names["y"])]
        return len(mine) == len(other) and all(
            a.shape == b.shape and (close(a, b.to(a.dtype))) for a, b in zip(mine, other, strict=True)
        )
    except Exception:
        return False


def _drawn(*args: Any, **kwargs: Any) -> np.ndarray:
    found = draw(*args, **kwargs)
    return (found.float() if str(found.dtype) == "torch.bfloat16" else found).numpy()
