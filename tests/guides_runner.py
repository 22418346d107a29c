"""A guide of examples/guides run twice, with real Keras and with anabranch, and what its sections show compared.

Each section is a generator (see examples/guides/sections.py). It runs with real Keras first, and the weights of every model it
yields are noted; then it runs with anabranch, where the models yielded get those weights before the section goes on. So what a
section computes after a ``yield`` is the same computation on the same numbers.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import anabranch
from anabranch import _tree, stand_in
from anabranch.graph import snake_case
from anabranch.insight import summarise

FOLDER = Path(__file__).parents[1] / "examples" / "guides"
OUTPUTS, RESULTS = 1e-5, 1e-4  # how far the models' outputs, and what training gives, may lie apart


def sections(guide: str) -> list[str]:
    """Return the names of a guide's section functions, read from its source: collecting tests imports no Keras."""
    body = ast.parse((FOLDER / f"{guide}.py").read_text()).body
    functions = [item for item in body if isinstance(item, ast.FunctionDef)]
    return [f.name for f in functions if any(isinstance(d, ast.Call) and d.func.id == "section" for d in f.decorator_list)]  # type: ignore[attr-defined]


def load(guide: str) -> ModuleType:
    """Run the top of a guide, and return it with its names."""
    path = FOLDER / f"{guide}.py"
    module = ModuleType(guide)
    module.__file__ = str(path)
    sys.path.insert(0, str(FOLDER))
    try:
        exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), module.__dict__)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@contextlib.contextmanager
def standing_in() -> Iterator[None]:
    """Let Keras's names mean anabranch for the block; real Keras's modules are out of sight and come back after it."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in stand_in.ROOTS}
    for name in real:
        del sys.modules[name]
    stand_in.install()
    try:
        yield
    finally:
        stand_in.uninstall()
        sys.modules.update(real)


class Shown(NamedTuple):
    """What one name of one ``yield`` was: a model's table, weights and outputs, or a result."""

    name: str
    result: Any = None
    model: Any = None
    table: Any = None
    weights: list[np.ndarray] | None = None
    outputs: Any = None
    weights_after: list[np.ndarray] | None = None  # at the end of the section, where nothing in it is left to chance


def run_keras(guide: str, section: str) -> list[Shown]:
    """Run a section with real Keras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = load(guide)
        sys.modules["keras"].backend.clear_session()
        function = vars(module)[section]
        return _ended(function, [_shown(name, value, None) for step in function() for name, value in step.items()])


def run_anabranch(guide: str, section: str, theirs: list[Shown]) -> list[Shown]:
    """Run a section with anabranch, on the weights that the run with Keras had."""
    following = iter(theirs)
    found = []
    with standing_in():
        function = vars(load(guide))[section]
        for step in function():
            for name, value in step.items():
                other = next(following, None)
                assert other is not None, f"Keras's run did not show {name!r}"
                assert other.name == name
                found.append(_shown(name, value, other.weights))
        return _ended(function, found)


def _ended(function: Any, found: list[Shown]) -> list[Shown]:
    """Return what a section showed with the weights that its models have now, after it."""
    return found if function.chance else [shown._replace(weights_after=_weights(shown.model)) for shown in found]


def compare(guide: str, section: str) -> None:
    """Hold what a section shows with anabranch to what it shows with Keras."""
    theirs = run_keras(guide, section)
    ours = run_anabranch(guide, section, theirs)
    assert [shown.name for shown in ours] == [shown.name for shown in theirs]
    assert ours, "a section shows something"
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.table == other.table, mine.name
        assert_close(mine.outputs, other.outputs, OUTPUTS, mine.name)
        assert_close(mine.result, other.result, RESULTS, mine.name)
        assert_close(mine.weights_after, other.weights_after, RESULTS, f"weights of {mine.name} after the section")


def _shown(name: str, value: Any, weights: list[np.ndarray] | None) -> Shown:
    model, inputs = value if isinstance(value, tuple) and value and hasattr(value[0], "weights") else (value, None)
    if not hasattr(model, "weights"):
        return Shown(name, result=_tree.map_leaves(numbers, value))
    if inputs is not None and not model.built:
        model(inputs)  # the weights come with the first data
    if weights is not None:
        model.set_weights(weights)
    outputs = None if inputs is None else _tree.map_leaves(numbers, model(inputs, training=False))
    return Shown(name, model=model, table=table(model), weights=_weights(model), outputs=outputs)


def _weights(model: Any) -> list[np.ndarray] | None:
    return [np.array(weight) for weight in model.get_weights()] if getattr(model, "built", False) else None


def numbers(value: Any) -> Any:
    """Return a tensor as an array; other values as they are."""
    return value.detach().cpu().numpy().copy() if hasattr(value, "detach") else value


def assert_close(mine: Any, other: Any, tolerance: float, place: str) -> None:
    """Compare two nests of numbers and other values, shapes included; dicts by their keys, in whatever order."""
    if isinstance(mine, dict):
        assert set(mine) == set(other), place
        for key in mine:
            assert_close(mine[key], other[key], tolerance, f"{place}, {key}")
    elif isinstance(mine, (list, tuple)):
        assert len(mine) == len(other), place
        for number, (a, b) in enumerate(zip(mine, other, strict=True)):
            assert_close(a, b, tolerance, f"{place}, {number}")
    elif mine is None or isinstance(mine, (str, bool)):
        assert mine == other, place
    else:
        assert np.shape(mine) == np.shape(other), place
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance, err_msg=place)


# Tables


class Row(NamedTuple):
    """One layer: names of unnamed layers without their number, connections as (row, call, output) of this table."""

    name: str
    kind: str
    shapes: list[tuple[int | None, ...]]
    params: int | None
    connected_to: list[tuple[int, int, int]]


def table(model: Any) -> Any:
    """Return rows and totals of a model; of a layer that is no model, its kind and how many numbers its weights hold."""
    if not hasattr(model, "summary"):
        return type(model).__name__, _count(model.weights)
    rows = _our_rows(model) if isinstance(model, anabranch.Model) else _their_rows(model)
    if type(model).__name__ == "Sequential":  # Keras notes the size of the first batch that came, anabranch leaves it free
        rows = [row._replace(shapes=[(None, *shape[1:]) for shape in row.shapes], connected_to=[]) for row in rows]
    return rows, _count(model.weights), _count(model.trainable_weights)


def _count(weights: list[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _name(name: str, kind: str) -> str:
    return re.sub(rf"({snake_case(kind)})_\d+", r"\1", name)


def _our_rows(model: Any) -> list[Row]:
    found = summarise(model)
    positions = {row.name: number for number, row in enumerate(found.rows)}

    def connection(text: str) -> tuple[int, int, int]:
        name, call, output = re.fullmatch(r"(.*)\[(\d+)]\[(\d+)]", text).groups()  # type: ignore[union-attr]
        return positions[name], int(call), int(output)

    return [
        Row(_name(row.name, row.kind), row.kind, [tuple(shape) for shape in row.shapes], row.params,
            [connection(text) for text in row.connected_to if found.connected])
        for row in found.rows
    ]  # fmt: skip


def _their_rows(model: Any) -> list[Row]:
    sequential = type(model).__name__ == "Sequential"
    graph = getattr(model, "_functional", None) if sequential else model
    operations = list(model.layers if sequential or not hasattr(model, "operations") else model.operations)
    inner = {node for nodes in getattr(graph, "_nodes_by_depth", {}).values() for node in nodes}
    calls = {operation: [node for node in operation._inbound_nodes if node in inner] for operation in operations}

    def connection(tensor: Any) -> tuple[int, int, int]:
        operation, call, output = tensor._keras_history
        return operations.index(operation), calls[operation].index(operation._inbound_nodes[call]), output

    rows = []
    for operation, nodes in calls.items():
        kind = type(operation).__name__
        shapes = [[tuple(tensor.shape) for tensor in node.output_tensors] for node in nodes]
        same = all(other == shapes[0] for other in shapes)
        shapes_shown = (shapes[0] if same and shapes else []) if same else [shape for call in shapes for shape in call]
        built = not hasattr(operation, "weights") or operation.built
        sources = [] if sequential else [tensor for node in nodes for tensor in node.input_tensors]
        rows.append(
            Row(_name(operation.name, kind), kind, shapes_shown, _count(getattr(operation, "weights", [])) if built else None,
                [connection(tensor) for tensor in sources])
        )  # fmt: skip
    return rows
