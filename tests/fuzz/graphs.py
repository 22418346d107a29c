"""Random graphs: layers, functions, operators, shared layers, nested models, masks, unknown sizes, several inputs and outputs.

A graph grows in both libraries at once, line by line, so that each new tensor is compared as it is made; then the models run,
in inference and in training, and take a step of training.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any, NamedTuple

import every_op
from fuzz import layers
from fuzz.beside import Pair, against_its_value, as_tensor, difference_of_dtypes, has_values, leaves, outcome
from fuzz.functions import ROWS as OPS
from fuzz.helpers import draw
from fuzz.values import is_plain

LAYERS = [row for row in layers.ROWS if not row.make.startswith("Random")]
INPUTS = ("(4,)", "(6,)", "(5, 3)", "(4, 3)", "(None, 3)", "(6, 6, 2)", "(None, None, 3)", "(5, 6, 3)", "(3, 4, 4, 2)", "()")
OPERATORS = (
    "{0} * 2", "{0} + {1}", "{0} - {1}", "{0} * {1}", "1 - {0}", "{0} / 2", "{0}[:, :2]", "{0}[:, -1]", "{0}[..., :1]", "-{0}",
    "{0} ** 2", "{0} > {1} + 0.0137", "{0} @ {1}", "abs({0})",
)  # fmt: skip
STEPS = re.compile(
    "round|floor|ceil|trunc|sign|signbit|equal|greater_equal|less|hard_shrink|threshold|angle|any|all|count_nonzero|"
    "logical_not|cast|saturate_cast"
)
"""Functions that jump at 0, halves and integers, which layers give but for rounding: they take values moved away from there."""

ORDERS = ("argmax", "argmin", "argsort")
"""Functions that say which of some values comes first, also of those that are equal but for rounding: its place moves each."""

POINTWISE = [
    op for op in OPS
    if op.symbolic and op.oracle and op.same_dtype and op.same_rule and op.args and isinstance(op.args[0], every_op.np.ndarray)
    and all(is_plain(each) for each in op.args[1:]) and all(map(is_plain, op.kwargs.values()))
    and not op.name.startswith(("nan", "segment", "linalg", "one_hot", "multi_hot"))  # fractions are no class indices
]  # fmt: skip
GREATEST = 1e4  # beyond it rounding decides
LARGEST = 5000  # values in a tensor, where the batch is 3
BATCH = 3
OTHER = re.compile(
    r"sparsemax|AveragePooling.*'same'|Normalization.*dtype=|(Layer|RMS)Normalization.*axis=(?!-1|\[-1\])|Equalization",
    re.IGNORECASE,
)
"""Layers whose values differ, as known, so that all that follows would."""

MASKS_END = ("EinsumDense",)
"""Layers at which Keras's masks end, and ours go on, so that all that follows would differ: they take values without."""


class Value(NamedTuple):
    """A symbolic tensor under way, the same in both libraries."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    masked: bool


class Drawing:
    """A graph under way."""

    def __init__(self, rng: Random, pair: Pair, prefix: str = "", depth: int = 0, only: str = "") -> None:
        self.rng = rng
        self.pair = pair
        self.prefix = prefix
        self.depth = depth
        self.only = only
        self.rows = [row for row in LAYERS if re.search(only, row.make)]
        self.functions = [op for op in POINTWISE if re.search(only, op.name)]
        self.inputs: list[Value] = []
        self.values: list[Value] = []
        self.used: set[str] = set()
        self.layers: dict[str, tuple[str, int]] = {}  # name -> its class, and the rank of what it takes
        self.filled: list[str] = []
        self.random = False
        self.count = 0

    def name(self, kind: str) -> str:
        """Return a name that is new."""
        self.count += 1
        return f"{self.prefix}{kind}{self.count}"

    def input(self, shape: str, dtype: str) -> None:
        """Add an input."""
        name = self.name("i")
        if self.pair.run(f"{name} = keras.Input({shape}, dtype={dtype!r})"):
            self.add(name, [])
            self.inputs.append(self.values[-1])

    def add(self, name: str, taken: list[Value], subject: str = "graph") -> bool:
        """Take what a line has made for a tensor of the graph, if it is one and the same in both."""
        theirs, ours = self.pair.theirs.get(name), self.pair.ours.get(name)
        if ours is None or theirs is None or not hasattr(theirs, "shape") or not hasattr(theirs, "dtype"):
            return False
        if not self.pair.run(f"#: same {name}", subject):
            return False
        known = 1
        for size in theirs.shape[1:]:
            known *= size or 6
        if known * BATCH > LARGEST or len(theirs.shape) > 5:
            return False
        masked = getattr(theirs, "_keras_mask", None) is not None or ours.masked  # a nested model's is ours alone
        self.values.append(Value(name, tuple(theirs.shape), str(theirs.dtype), masked))
        self.used.update(each.name for each in taken)
        return True

    def pick(self, rank: int | None = None, like: Value | None = None, plain: bool = False) -> Value | None:
        """Return one of the values, mostly a new one."""
        found = [each for each in self.values if rank in (None, len(each.shape)) and not (plain and each.masked)]
        found = [each for each in found if like is None or each.shape == like.shape]
        found = found[-4:] if self.rng.random() < 0.7 else found
        return self.rng.choice(found) if found else None

    def step(self) -> None:
        """Try to add a call."""
        way = self.rng.random()
        if way < 0.5:
            self.layer()
        elif way < 0.6:
            self.again()
        elif way < 0.75:
            self.operator()
        elif way < 0.9:
            self.function()
        elif self.depth < 2:
            self.nested()

    def layer(self) -> None:
        """Call a new layer on values of the right ranks."""
        if not self.rows:
            return
        row = self.rng.choice(self.rows)
        first = self.pick(len(row.inputs[0]), plain=row.make in MASKS_END)
        ids = row.make.endswith("Embedding") and row.dtype == "int32"
        wanted = ("int32", "uint8") if ids else ("float32", "float16", "bfloat16", "float64")
        if first is None or first.dtype not in wanted:
            return
        taken = [first]
        for shape in row.inputs[1:]:
            other = self.pick(len(shape), first if len(shape) == len(first.shape) and self.rng.random() < 0.9 else None)
            if other is None:
                return
            taken.append(other)
        name, made = self.name("l"), layers.made(self.rng, row, 0.15, 0.03)
        subject = f"layers.{row.make} in a graph"
        if "float16" in made:
            self.pair.rough = 500.0
        names = ", ".join(each.name for each in taken)
        flags = layers.flags_of(self.rng, row)
        called = f"{name}({f'[{names}]' if row.as_list and not row.positional else names}{flags})"
        if OTHER.search(made):
            return
        if not self.pair.run(f"{name} = {made}", subject):
            if name in self.pair.theirs and self.value(called, taken) is None:
                self.pair.found[-1].what += against_its_value(None, None)
            return
        if self.compute(called, taken, subject):
            self.random = self.random or row.random or layers.DROPS.search(made) is not None
            if not row.as_list:
                self.layers[name] = (row.make, len(first.shape))
            self.fill(name)

    def fill(self, layer: str) -> None:
        """Give a layer drawn weights."""
        self.pair.run(f"fill({layer}, {self.rng.randrange(100)})")
        self.filled.append(layer)

    def again(self) -> None:
        """Call a layer once more."""
        if not self.layers:
            return
        name = self.rng.choice([*self.layers])
        make, rank = self.layers[name]
        value = self.pick(rank, plain=make in MASKS_END)
        if value and (value.dtype.startswith(("float", "bfloat")) or not make.endswith("Normalization")):  # see layers.txt
            self.compute(f"{name}({value.name})", [value], f"layers.{make} in a graph")

    def operator(self) -> None:
        """Apply an operator of Python's; Keras loses masks there, so only to values without."""
        first = self.pick(plain=True)
        second = first and self.pick(like=first if self.rng.random() < 0.8 else None, plain=True)
        if first and second:
            self.compute(self.rng.choice(OPERATORS).format(first.name, second.name), [first, second], "graph: operator")

    def function(self) -> None:
        """Call a function."""
        if not self.functions:
            return
        op = self.rng.choice(self.functions)
        first = self.pick(op.args[0].ndim, plain=True)
        if first and first.dtype == "float32":
            more = [repr(each) for each in op.args[1:]] + [f"{key}={value!r}" for key, value in op.kwargs.items()]
            x = first.name
            if STEPS.fullmatch(op.name):
                x = f"{x} + 0.0137"
            elif op.name in ORDERS:
                x = f"{x} + 0.0137 * keras.ops.cumsum(keras.ops.cumsum(keras.ops.ones_like({x}), -1), 1)"
            self.compute(f"keras.ops.{op.name}({', '.join([x, *more])})", [first], f"ops.{op.name} in a graph")

    def compute(self, code: str, taken: list[Value], subject: str) -> bool:
        """Add what an expression gives; return whether it is the same in both."""
        out, before = self.name("t"), len(self.pair.found)
        same = self.pair.run(f"{out} = {code}", subject) and self.add(out, taken, subject)
        for found in self.pair.found[before:]:
            if found.what.startswith(("refused", "symbolic")) and out in self.pair.theirs:
                found.what += against_its_value(self.pair.theirs[out], self.value(code, taken))
        return same

    def value(self, code: str, taken: list[Value]) -> Any:
        """Return what an expression gives in Keras of drawn values in the place of some tensors; None where it is refused."""
        sizes = {each.name: tuple(size or (6 if axis else BATCH) for axis, size in enumerate(each.shape)) for each in taken}
        names = {**self.pair.theirs, **{each.name: draw(0, each.dtype, sizes[each.name]) for each in taken}}
        return None if outcome(f"value = {code}", names) else names["value"]

    def nested(self) -> None:
        """Draw a model on inputs like a value, and call it."""
        value = self.pick(plain=True)
        if value is None:
            return
        inner = Drawing(self.rng, self.pair, f"{self.name('n')}_", self.depth + 1, self.only)
        inner.input(repr(value.shape[1:]), value.dtype)
        for _ in range(self.rng.randint(1, 4)):
            inner.step()
        model = inner.model(self.rng.random() < 0.7)
        if model is None:
            return
        self.random = self.random or inner.random
        self.filled += inner.filled
        for _ in range(self.rng.choice((1, 1, 2))):
            self.compute(f"{model}({value.name})", [value], "graph: nested model")
            value = self.pick(like=value, plain=True) or value

    def model(self, single: bool = False) -> str | None:
        """Make the model of all loose ends, or of one, that depends on all inputs."""
        inputs = {each.name for each in self.inputs}
        loose = [each for each in self.values if each.name not in self.used and each.name not in inputs]
        if not loose:
            return None
        chosen = [loose[-1].name] if single else [each.name for each in loose]
        outputs = chosen[0] if len(chosen) == 1 else f"[{', '.join(chosen)}]"
        given = [each.name for each in self.inputs if self.pair.theirs.get(each.name) is not None]
        name = self.name("m")
        source = given[0] if len(given) == 1 else f"[{', '.join(given)}]"
        self.outputs = chosen
        return name if self.pair.run(f"{name} = keras.Model({source}, {outputs})", "graph: model") else None


def case(seed: int, only: str = "") -> Pair:
    """Run the case of a seed.

    Args:
        seed: of the draws.
        only: a pattern; new layers and functions in whose names it is not found are not drawn.
    """
    rng = Random(seed)
    pair = Pair("graph", 5.0)
    if rng.random() < 0.08:
        pair.run(f"keras.config.set_dtype_policy({rng.choice(layers.POLICIES[:3])!r})")
        pair.rough = 500.0
    drawing = Drawing(rng, pair, only=only)
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = rng.random() < 0.2
        drawing.input(rng.choice(("(4,)", "(None,)")) if words else rng.choice(INPUTS), "int32" if words else "float32")
        if words:
            masking = ", mask_zero=True" if rng.random() < 0.5 else ""
            name, out = drawing.name("l"), drawing.name("t")
            pair.run(f"{name} = keras.layers.Embedding(7, 3{masking})")
            pair.run(f"{out} = {name}({drawing.values[-1].name})")
            drawing.add(out, [drawing.values[-1]])
            drawing.fill(name)
    for _ in range(rng.choice((4, 8, 12, 16))):
        drawing.step()
    model = drawing.model()
    if model:
        run(rng, pair, drawing, model)
    return pair


def run(rng: Random, pair: Pair, drawing: Drawing, model: str) -> None:
    """Run the model in every mode."""
    size = rng.choice((4, 6))
    names = []
    for each in drawing.inputs:
        name = f"d{len(names)}"
        shape = (BATCH, *(size if axis is None else axis for axis in each.shape[1:]))
        low, high = (0, 7) if each.dtype == "int32" else (-1.5, 1.5)
        pair.run(f"{name} = draw({rng.randrange(1000)}, {each.dtype!r}, {shape}, {low}, {high})")
        names.append(name)
    data = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    if not pair.run(f"y = {model}({data}, training=False)") or _too_great(pair.theirs["y"]):
        return
    symbols = [pair.theirs[name] for name in drawing.outputs]
    _same(pair, "y", "graph", symbols)
    plain = f"{data}.numpy()" if len(names) == 1 else f"[{', '.join(f'{n}.numpy()' for n in names)}]"
    if rng.random() < 0.5:
        pair.run(f"p = {model}.predict({plain}, verbose=0)")
        _same(pair, "p", "predict", symbols)
    if drawing.random:
        return
    pair.run(f"z = {model}({data}, training=True)")
    if _too_great(pair.theirs.get("z")):
        return
    _same(pair, "z", "graph in training mode", symbols)
    samples = {len(each) if each.ndim else 0 for each in leaves(pair.theirs["y"])}
    if rng.random() < 0.5 and samples == {BATCH} and all(s.dtype == "float32" and len(s.shape) > 1 for s in symbols):
        train(pair, drawing, model, plain, len(symbols))


def _same(pair: Pair, name: str, subject: str, symbols: list[Any]) -> None:
    """Compare what the model gives; note in a difference of dtypes whether Keras's symbols have those that are here."""
    if name not in pair.theirs or name not in pair.ours or pair.run(f"#: same {name}", subject):
        return
    if pair.found[-1].what == "dtype" and difference_of_dtypes(symbols, pair.ours[name]) is None:
        pair.found[-1].what += ", Keras's symbol agrees"


def train(pair: Pair, drawing: Drawing, model: str, data: str, outputs: int) -> None:
    """Take a step of training."""
    pair.run(f"{model}.compile(keras.optimizers.SGD(0.01), 'mse')")
    pair.run("t = [value * 0 + 0.5 for value in (y if isinstance(y, list) else [y])]")
    targets = "t[0].detach().numpy()" if outputs == 1 else "[each.detach().numpy() for each in t]"
    if not pair.run(f"loss = {model}.train_on_batch({data}, {targets})"):
        return
    pair.run("#: same loss", "train_on_batch")
    for layer in dict.fromkeys(drawing.filled):
        pair.run(f"w = [weight.numpy() for weight in {layer}.weights]")
        if not _too_great(pair.theirs.get("w")):
            pair.run("#: same w", "weights after train_on_batch")


def _too_great(found: Any) -> bool:
    tensors = [as_tensor(each).double() for each in leaves(found) if has_values(each)]
    return any(bool(each.numel()) and not float(each.abs().max()) < GREATEST for each in tensors)
