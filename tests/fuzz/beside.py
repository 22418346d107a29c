"""Scripts run in both libraries, and what differs.

A script is lines of Python in which ``keras`` is the library. Each line runs in Anabranch and in Keras before the next. A line
that Anabranch alone refuses is a difference. Comments of a script compare:

    #: same y      what both libraries have under a name is equal
    #: fits s y    in Anabranch, shape and dtype of the symbolic tensor ``s`` fit the value ``y``
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import CodeType
from typing import Any

import keras
import numpy as np
import torch
from fuzz import helpers, mended

import anabranch
from anabranch._errors import AnabranchError
from anabranch.graph import Tensor

mended.apply()
FUNCTIONS = {
    "np": np,
    "torch": torch,
    **{name: getattr(helpers, name) for name in ("draw", "fill", "gradients", "gradients_of")},
}
ROUGH = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2, "bfloat16": 6e-2}
"""How far apart results may be, by dtype, relative to the greatest of them."""


@dataclass
class Difference:
    """One way in which the libraries differ.

    Args:
        subject: what was called, such as ``ops.sum``.
        what: in which way: refused, raw error, shape, dtype, values, …
        ours: what Anabranch gives or says.
        theirs: what Keras gives or says.
        lines: a script that shows it.
        rough: how much further apart than usual results may be.
    """

    subject: str
    what: str
    ours: str
    theirs: str
    lines: list[str] = field(default_factory=list)
    rough: float = 1.0

    def __str__(self) -> str:
        body = "\n".join(f"    {line}" for line in self.lines)
        return f"{self.subject}: {self.what}\n  here:  {self.ours}\n  Keras: {self.theirs}\n{body}"

    def script(self, library: str) -> str:
        """Return a program that shows what one library gives; it runs with tests/ in PYTHONPATH."""
        first = 'import os; os.environ["KERAS_BACKEND"] = "torch"\n' if library == "keras" else ""
        names = "import numpy as np\nimport torch\nfrom fuzz.helpers import draw, fill, gradients, gradients_of"
        names += "\nfrom fuzz import mended\nmended.apply()" if library == "keras" else ""
        return "\n".join([f"{first}import {library} as keras\n{names}\n", *self.lines, ""])


@cache
def _code(line: str) -> CodeType:
    return compile(line, "<fuzz>", "exec")


class Pair:
    """The same script under way in both libraries."""

    def __init__(self, subject: str, rough: float = 1.0) -> None:
        self.subject = subject
        self.rough = rough
        self.lines: list[str] = []
        self.ours: dict[str, Any] = {"keras": anabranch, **FUNCTIONS}
        self.theirs: dict[str, Any] = {"keras": keras, **FUNCTIONS}
        self.tried: set[str] = set()  # the names that lines were to give
        self.found: list[Difference] = []
        for library in (anabranch, keras):
            library.config.set_dtype_policy("float32")

    def run(self, line: str, subject: str = "") -> bool:
        """Run a line in both; return whether both took it."""
        if line.startswith("#: "):
            return self._compare(line.split()[1:], line, subject)
        self.tried.add(line.partition(" = ")[0])
        ours, theirs = outcome(line, self.ours), outcome(line, self.theirs)
        if ours is None:  # a line that runs here alone may be followed by "#: fits"
            self.lines.append(line)
            return theirs is None
        own = type(ours) is type(theirs) and ours.args == theirs.args and "keras.ops" not in line  # an error of the script's
        if isinstance(ours, AnabranchError):
            if theirs is None:
                self.differ("refused", said(ours), "accepts", line, subject)
        elif not isinstance(ours, NameError) and not own:
            self.differ("raw error", said(ours), said(theirs), line, subject)
        return False

    def _compare(self, words: list[str], line: str, subject: str) -> bool:
        if not set(words[1:]) <= self.ours.keys() or (words[0] == "same" and words[1] not in self.theirs):
            return False
        if words[0] == "same":
            found = difference(self.ours[words[1]], self.theirs[words[1]], self.rough)
        else:
            found = _unfit(self.ours[words[1]], self.ours[words[2]])
        if found is None:
            self.lines.append(line)
            return True
        self.differ(*found, line, subject)
        return False

    def differ(self, what: str, ours: str, theirs: str, line: str, subject: str = "") -> None:
        """Note a difference that a line shows."""
        self.found.append(Difference(subject or self.subject, what, ours, theirs, [*self.lines, line], self.rough))


def play(subject: str, lines: list[str], rough: float = 1.0, needed: Callable[[str], bool] = lambda line: False) -> Pair:
    """Run a script, up to the first line among those ``needed`` that one of them refuses or that shows a difference."""
    pair = Pair(subject, rough)
    for index, line in enumerate(lines):
        if not pair.run(line) and needed(line):
            if any(each.what == "refused" for each in pair.found) and _refused_later(lines[index + 1 :], pair.theirs):
                pair.found[-1].what += ", Keras refuses the value"
            break
    for each in pair.found:
        settle(each, pair)
    return pair


def _refused_later(lines: list[str], names: dict[str, Any]) -> bool:
    """Return whether Keras refuses one of the lines up to that of the value ``y``."""
    before = next((index for index, line in enumerate(lines) if line.startswith("y = ")), len(lines) - 1)
    return any(outcome(line, names) for line in lines[: before + 1])


def settle(found: Difference, pair: Pair) -> None:
    """Note in a difference how far Keras agrees with itself: with the value ``y`` of the symbolic tensor ``s``."""
    symbols, value = pair.theirs.get("s"), pair.theirs.get("y")
    if found.what == "dtype" and symbols is not None and found.lines[-1] in ("#: same y", "#: same z", "#: same p"):
        if difference_of_dtypes(symbols, pair.ours[found.lines[-1][-1]]) is None:
            found.what += ", Keras's symbol agrees"
    elif found.what == "refused" and "y" in pair.ours:  # what is computed here can be described
        return
    elif (
        (found.what.startswith("symbolic") or found.lines[-1].startswith("s = ")) and symbols is not None and "y" in pair.tried
    ):
        found.what += against_its_value(symbols, value)


def against_its_value(symbols: Any, value: Any) -> str:
    """Return what is noted where Keras's symbolic tensors do not fit their value, or, it being None, Keras refuses it."""
    if value is None:
        return ", Keras refuses the value"
    return ", Keras's is not of its value" if _unfit(symbols, value) else ""


def difference_of_dtypes(symbols: Any, values: Any) -> tuple[str, str, str] | None:
    """Return how the dtypes of symbolic tensors are not those of values; NumPy has what is bfloat16 as float32."""
    found = [each for each in leaves(values) if has_values(each)]
    arrays = bool(found) and all(isinstance(each, np.ndarray) for each in found)
    a = ["float32" if arrays and each.dtype == "bfloat16" else each.dtype for each in leaves(symbols)]
    b = [dtype_of(each) for each in found]
    return None if a == b else ("dtype", str(a), str(b))


def outcome(line: str, names: dict[str, Any]) -> BaseException | None:
    """Run a line with some names and return its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(_code(line), names)
    except Exception as error:
        error.__traceback__ = None
        return error
    return None


def said(error: BaseException | None) -> str:
    """Return an error in one line."""
    return "accepts" if error is None else f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def leaves(value: Any) -> Iterator[Any]:
    """Yield what nests of lists, tuples and dicts hold."""
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def is_symbolic(value: Any) -> bool:
    """Return whether a value is a symbolic tensor of either library."""
    return isinstance(value, (keras.KerasTensor, Tensor))


def difference(ours: Any, theirs: Any, rough: float = 1.0) -> tuple[str, str, str] | None:
    """Return how two values differ: in which way, and what each is; None where they are the same.

    A dict here may have entries that Keras's has not, as configs do.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [key for key in theirs if key not in ours]
        if missing:
            return "keys", f"without {missing}", f"with {missing}"
        found = ((difference(ours[key], theirs[key], rough), key) for key in theirs)
        return next(((f"{each[0]} of {key!r}", *each[1:]) for each, key in found if each), None)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            return "count", f"{len(ours)}", f"{len(theirs)}"
        return next((each for each in (difference(a, b, rough) for a, b in zip(ours, theirs, strict=True)) if each), None)
    return _leaf(ours, theirs, rough)


def _leaf(ours: Any, theirs: Any, rough: float) -> tuple[str, str, str] | None:
    """Return how two values that are no nests differ."""
    if is_symbolic(ours) and is_symbolic(theirs):
        if tuple(ours.shape) != tuple(theirs.shape):
            return "symbolic shape", f"{tuple(ours.shape)}", f"{tuple(theirs.shape)}"
        if ours.dtype != theirs.dtype:
            return "symbolic dtype", ours.dtype, theirs.dtype
        return None
    if all(isinstance(each, (bool, int, float)) for each in (ours, theirs)):
        same = ours == theirs or close(torch.tensor(float(ours)), torch.tensor(float(theirs)), rough)
        return None if same else ("number", repr(ours), repr(theirs))
    if not has_values(ours) or not has_values(theirs):
        same = ours == theirs if type(ours) is type(theirs) else repr(ours) == repr(theirs)
        return None if same is True else ("object", repr(ours)[:100], repr(theirs)[:100])
    ours, theirs = as_tensor(ours), as_tensor(theirs)
    if ours.shape != theirs.shape:
        return "shape", f"{tuple(ours.shape)}", f"{tuple(theirs.shape)}"
    if ours.dtype != theirs.dtype:
        return "dtype", dtype_of(ours), dtype_of(theirs)
    return None if close(ours, theirs, rough) else ("values", shown(ours), shown(theirs))


def _unfit(symbols: Any, values: Any) -> tuple[str, str, str] | None:
    """Return how symbolic tensors do not fit the values that come of them."""
    a, b = list(leaves(symbols)), list(leaves(values))
    if len(a) != len(b):
        return "symbol against value", f"{len(a)} symbols", f"{len(b)} values"
    for symbol, value in zip(a, b, strict=True):
        if is_symbolic(symbol) and has_values(value):
            shape = tuple(as_tensor(value).shape)
            fits = len(shape) == len(symbol.shape) and all(x in (None, y) for x, y in zip(symbol.shape, shape, strict=True))
            if not fits or symbol.dtype != dtype_of(as_tensor(value)):
                return "symbol against value", f"{symbol.shape} {symbol.dtype}", f"{shape} {dtype_of(as_tensor(value))} here"
    return None


def has_values(value: Any) -> bool:
    """Return whether a value is one or more numbers."""
    return isinstance(value, (torch.Tensor, np.ndarray, np.generic, bool, int, float)) or hasattr(value, "assign")


def as_tensor(value: Any) -> torch.Tensor:
    """Return a value as a tensor."""
    if hasattr(value, "assign"):
        value = value.numpy()
    if isinstance(value, (float, np.floating)):
        return torch.tensor(float(value))
    if isinstance(value, torch.Tensor):
        return value.detach()
    array = np.array(value)
    return torch.as_tensor(array.astype("float32") if array.dtype.kind == "V" else array)  # bfloat16, as Keras has it in NumPy


def dtype_of(value: Any) -> str:
    """Return the name of a value's dtype."""
    return str(value.dtype).removeprefix("torch.")


def shown(value: torch.Tensor) -> str:
    """Return some of a tensor's values."""
    return f"{value.flatten()[:6].tolist()}{'…' if value.numel() > 6 else ''} {dtype_of(value)} {tuple(value.shape)}"


def close(a: torch.Tensor, b: torch.Tensor, rough: float = 1.0) -> bool:
    """Return whether values are the same but for rounding."""
    if not a.is_floating_point():
        return torch.equal(a, b)
    bound = min(ROUGH[dtype_of(a)] * rough, 0.1)
    a, b = a.double(), b.double()
    usual = torch.isfinite(a) & torch.isfinite(b)
    if not torch.equal(a[~usual].nan_to_num(0.5), b[~usual].nan_to_num(0.5)):
        return False
    a, b = a[usual], b[usual]
    if not a.numel():
        return True
    half = bound >= ROUGH["float16"]  # sums of half floats cancel
    scale = torch.clamp(b.abs(), min=max(1.0, (0.3 if half else 0.01) * float(b.abs().max())))
    return bool(((a - b).abs() <= bound * scale).all())


def shrunk(wanted: Difference) -> Difference:
    """Return the same difference shown by fewer lines: each is left out in turn, from the last but one on."""
    lines, best = list(wanted.lines), wanted
    if wanted.subject.startswith("training"):  # another model would differ in other ways
        return wanted
    for index in reversed(range(len(lines) - 1)):
        if lines[index].startswith(("fill(", "keras.config", "layer(")):  # without it, the weights would differ
            continue
        fewer = lines[:index] + lines[index + 1 :]
        found = [each for each in play(wanted.subject, fewer, wanted.rough).found if each.lines[-1] == lines[-1]]
        if found and wanted.what.startswith(found[0].what) and _same_error(found[0].ours, wanted.ours):
            lines, best = found[0].lines, found[0]
    best.what = wanted.what
    return best


def _same_error(ours: str, wanted: str) -> bool:
    """Return whether what is said here is of the same error, or is none."""
    one, other = (re.match(r"\w+Error: [\w ]*|", each) for each in (ours, wanted))
    return one is not None and other is not None and one[0] == other[0]
