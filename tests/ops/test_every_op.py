"""Every row of the table of all functions: numbers, gradients, dtypes and signatures beside real Keras's; symbolic, lowered."""

from __future__ import annotations

import inspect
import itertools
import operator
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, tolerated
from every_op import ASKING, CASES, Fixed, Op, draw

from anabranch import Input, Model, _tree, engine, layers, ops
from anabranch._errors import AnabranchError
from anabranch.graph import Tensor
from anabranch.graph.shapes import same

ALL = [pytest.param(case, id=case.id) for case in CASES]
ORACLE = [pytest.param(case, id=case.id) for case in CASES if case.oracle]
SYMBOLIC = [pytest.param(case, id=case.id) for case in CASES if case.symbolic]
NAMESPACES = ("nn", "numpy", "image", "linalg")


def call(case: Op, space: Any, leaf: Any = lambda value: value) -> list[Any]:
    """Return the results of a row's call, flat; ``leaf`` changes the arguments."""
    args, kwargs = _tree.map_leaves(leaf, (case.args, case.kwargs))
    return _tree.leaves(operator.attrgetter(case.name)(space)(*args, **kwargs))


def numbers(value: Any) -> np.ndarray:
    """Return an array, the parts of complex numbers along a last axis of their own."""
    found = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return np.stack([found.real, found.imag], -1) if found.dtype.kind == "c" else found


def plain(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, Fixed) else leaf


def as_tensor(leaf: Any) -> Any:
    return torch.tensor(plain(leaf)) if isinstance(leaf, np.ndarray) else leaf


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    ours, theirs = numbers(ours), numbers(theirs)
    assert ours.shape == theirs.shape
    finite = np.isfinite(theirs.astype("float64"))
    assert np.array_equal(ours[~finite], theirs[~finite], equal_nan=True)
    scale = max(1.0, float(np.abs(theirs[finite].astype("float64")).max(initial=0)))
    error = np.abs(ours[finite].astype("float64") - theirs[finite].astype("float64"))
    assert float(error.max(initial=0)) <= tolerated(tolerance) * scale


def is_symbolic(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and not isinstance(leaf, Fixed)


def arrays(case: Op) -> list[np.ndarray]:
    return [leaf for leaf in _tree.leaves((case.args, list(case.kwargs.values()))) if is_symbolic(leaf)]


def described(case: Op) -> tuple[list[Tensor], list[Tensor]]:
    """Return inputs of unknown batch for a row's arrays, and what the function gives on them."""
    inputs: list[Tensor] = []

    def leaf(value: Any) -> Any:
        if not is_symbolic(value):
            return plain(value)
        inputs.append(Input(value.shape[1:], dtype=str(value.dtype)))
        return inputs[-1]

    results = call(case, ops, leaf)
    return inputs, results


# Beside Keras


@pytest.mark.filterwarnings("ignore:.*Tensor.T is deprecated", "ignore:The use of `x.T`")  # by Keras
@pytest.mark.parametrize("case", ORACLE)
def test_equals_keras(keras: Any, case: Op) -> None:
    found, expected = call(case, ops, plain), call(case, keras.ops, as_tensor)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, case.tolerance)
        if case.same_dtype:
            assert str(ours.dtype) == str(theirs.dtype)


GRADIENT = [
    pytest.param(case, id=case.id)
    for case in CASES
    if case.gradient and case.oracle and any(a.dtype.kind == "f" for a in arrays(case))
]


@pytest.mark.parametrize("case", [param for param in ALL if param.values[0].instead])
def test_equals_numpy(case: Op) -> None:
    args, kwargs = _tree.map_leaves(plain, (case.args, case.kwargs))
    expected = case.instead(*args, **kwargs)
    found = call(case, ops, plain)
    for ours, right in zip(found, expected if isinstance(expected, (list, tuple)) else [expected], strict=True):
        close(ours, right, case.tolerance)
        if case.same_dtype:
            assert str(ours.dtype) == "torch.float32"


@pytest.mark.filterwarnings("ignore:.*Tensor.T is deprecated", "ignore:The use of `x.T`")  # by Keras
@pytest.mark.parametrize("case", GRADIENT)
def test_gradients_equal_keras(keras: Any, case: Op) -> None:
    found, expected = gradients(case, ops), gradients(case, keras.ops)
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, 10 * case.tolerance)


def gradients(case: Op, space: Any) -> list[torch.Tensor]:
    """Return the gradients of a drawn projection of the results with respect to the arrays."""
    given: list[torch.Tensor] = []

    def leaf(value: Any) -> Any:
        if not is_symbolic(value) or value.dtype.kind != "f":
            return plain(value)
        given.append(torch.tensor(value, requires_grad=True, device=here() if space is ops else "cpu"))
        return given[-1]

    results = [result for result in call(case, space, leaf) if result.requires_grad]
    results = [torch.view_as_real(result) if result.is_complex() else result for result in results]
    rng = np.random.default_rng(1)
    projection = sum((result * torch.from_numpy(rng.normal(size=result.shape)).to(result)).sum() for result in results)
    if not results:
        return []
    found = torch.autograd.grad(projection, given, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, given, strict=True)]


@pytest.mark.parametrize("case", [param for param in SYMBOLIC if param.values[0].oracle and param.values[0].same_rule])
def test_keras_infers_the_same_shapes(keras: Any, case: Op) -> None:
    _, ours = described(case)

    def leaf(value: Any) -> Any:
        return keras.Input(value.shape[1:], dtype=str(value.dtype)) if is_symbolic(value) else plain(value)

    theirs = call(case, keras.ops, leaf)
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert same(our.shape, tuple(their.shape)), (our.shape, their.shape)


# Symbolic


@pytest.mark.parametrize("case", SYMBOLIC)
def test_the_symbol_says_what_comes(case: Op) -> None:
    _, specs = described(case)
    results = call(case, ops, plain)
    assert len(specs) == len(results)
    for spec, result in zip(specs, results, strict=True):
        assert same(spec.shape, tuple(result.shape)), (spec.shape, tuple(result.shape))
        assert spec.dtype == str(result.dtype).removeprefix("torch.")


@pytest.mark.parametrize("case", SYMBOLIC)
def test_a_model_of_it_gives_the_same_numbers(case: Op) -> None:
    inputs, outputs = described(case)
    model = Model(inputs, outputs)
    results = _tree.leaves(model(arrays(case)))
    for result, eager in zip(results, call(case, ops, plain), strict=True):
        close(result, eager, 1e-6)
        assert result.dtype == eager.dtype
    half = [array[:2] for array in arrays(case)]
    if len({len(array) for array in arrays(case)}) == 1:  # all of one batch: any other batch runs too
        for spec, result in zip(outputs, _tree.leaves(model(half)), strict=True):
            assert same(spec.shape, tuple(result.shape)), (spec.shape, tuple(result.shape))
    nodes = engine.program(model, False).module.graph.nodes
    assert [node.target for node in nodes if node.op == "call_module"] == []
    assert [node.target for node in nodes if "anabranch" in str(getattr(node.target, "__module__", ""))] == []


class Inside(layers.Layer):
    """A user's layer whose call uses a function on values that it computed itself."""

    def __init__(self, case: Op) -> None:
        super().__init__()
        self.case = case

    def call(self, given: list[Any]) -> Any:
        values = iter([torch.clone(value) for value in given])
        return call(self.case, ops, lambda leaf: next(values) if is_symbolic(leaf) else plain(leaf))


@pytest.mark.parametrize("case", SYMBOLIC)
def test_inside_a_layer_it_is_traced_too(case: Op) -> None:
    inputs, _ = described(case)
    model = Model(inputs, Inside(case)(inputs))
    for result, eager in zip(_tree.leaves(model(arrays(case))), call(case, ops, plain), strict=True):
        close(result, eager, 1e-6)
    assert [node.target for node in engine.program(model, False).module.graph.nodes if node.op == "call_module"] == []


# The table itself


def contents(space: Any) -> dict[str, Any]:
    found = vars(space)
    return {name: found[name] for name in found.get("__all__", found)}


def public_names() -> dict[str, Any]:
    """Return the functions by their paths below ``ops``."""
    found = {name: getattr(ops, name) for name in dir(ops)}
    for space in NAMESPACES:
        found |= {f"{space}.{name}": value for name, value in contents(getattr(ops, space)).items()}
    return {
        path: value
        for path, value in found.items()
        if inspect.isfunction(value)
        and not path.rpartition(".")[2].startswith("_")
        and not value.__module__.startswith("anabranch.ops._")
    }


def test_every_public_function_has_a_row() -> None:
    tested = {operator.attrgetter(case.name)(ops) for case in CASES} | {getattr(ops, name) for name in ASKING}
    assert [path for path, value in public_names().items() if value not in tested] == []


def test_there_are_many() -> None:
    assert len({value for name, value in public_names().items() if "." not in name}) >= 130


def test_signatures_are_keras(keras: Any) -> None:
    def parameters(space: Any, path: str) -> list[Any]:
        found = inspect.signature(operator.attrgetter(path)(space)).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    theirs = [path for path in public_names() if hasattr(keras.ops, path.partition(".")[0])]
    assert [path for path in theirs if parameters(ops, path) != parameters(keras.ops, path)] == []
    assert {path for path in public_names() if path not in theirs} <= {case.name for case in CASES if not case.oracle}


# Wrong shapes

TRIED = (None, 4, 3, 1, 2, 5, 8, 6)  # sizes of what is unknown; None: those of the row
OF_VALUES = {"take matrix": "whether indices are in range is no matter of shapes"}


def reshaped(array: np.ndarray) -> list[tuple[int, ...]]:
    """Return shapes that differ from an array's in more than the batch."""
    shape = array.shape
    return [shape[:-1], (*shape, 2), *((*shape[:axis], shape[axis] + 1, *shape[axis + 1 :]) for axis in range(1, len(shape)))]


def resized(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return draw(*shape).astype(array.dtype) if array.dtype.kind == "f" else np.resize(array, shape)


def runs(case: Op, which: int, shape: tuple[int, ...], make: Any) -> bool:
    """Return whether a call runs where one of the row's arrays has another shape; ``make`` returns what it is given."""
    numbered = iter(range(1000))

    def leaf(value: Any) -> Any:
        if not is_symbolic(value):
            return plain(value)
        number = next(numbered)
        return make(number == which, resized(value, shape) if number == which else value)

    try:
        call(case, ops, leaf)
    except AnabranchError:
        return False
    return True


def symbol(changed: bool, value: np.ndarray) -> Tensor:
    return Input(value.shape[1:], dtype=str(value.dtype))


def of_sizes(own: int | None, others: int | None) -> Any:
    """Return what gives arrays other first sizes: the one whose shape is tried, and all others."""

    def make(changed: bool, value: np.ndarray) -> np.ndarray:
        size = own if changed else others
        return value if size is None else resized(value, (size, *value.shape[1:]))

    return make


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [param for param in SYMBOLIC if param.values[0].id not in OF_VALUES])
def test_symbols_are_refused_where_no_batch_would_do(case: Op) -> None:
    """What is refused of arrays, whatever their first sizes are, is refused when it is described."""
    sizes = [(size, size) for size in TRIED] + list(itertools.product(TRIED, repeat=2))
    for which, array in enumerate(arrays(case)):
        for shape in reshaped(array)[array.ndim == 1 :]:
            if runs(case, which, shape, symbol):
                assert any(runs(case, which, shape, of_sizes(*pair)) for pair in sizes), (which, shape)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 0.5])
@pytest.mark.parametrize("name", ["segment_sum", "segment_max", "segment_min", "segment_prod", "take"])
def test_indices_are_integers(name: str, wrong: float) -> None:
    with pytest.raises(AnabranchError, match="must be integers"):
        getattr(ops, name)(np.ones(3, "float32"), np.array([0.0, wrong, 1.0]))
    assert getattr(ops, name)(np.ones(3, "float32"), np.array([0.0, 1.0, 1.0])).shape[0] in (2, 3)


def test_a_block_that_does_not_fit_is_refused_of_symbols() -> None:
    x = Input((5,))
    for start, block in [((0,), (5,)), ((0, 0), (7,)), ((0, 0), (2, 3)), ((0, 1), (5,)), ((0, -1), (2,))]:
        with pytest.raises(AnabranchError):
            ops.slice_update(x, start, Input(block))
    assert ops.slice_update(x, (0, 1), Input((4,))).shape == (None, 5)
