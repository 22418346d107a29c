"""Every rule that a function states beside what running it on fake tensors says, over the rows of all functions."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from every_op import CASES, Fixed, Op

from anabranch import Input, _tree, ops, runtime
from anabranch._errors import AnabranchError
from anabranch.graph import Function
from anabranch.graph.rules import DTYPES
from anabranch.graph.shapes import same
from anabranch.ops._public import facts_of

STATED = [case for case in CASES if case.symbolic and facts_of(operator.attrgetter(case.name)(ops)).spec]


def is_symbolic(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and not isinstance(leaf, Fixed)


def plain(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, Fixed) else leaf


def arrays(case: Op) -> list[np.ndarray]:
    return [leaf for leaf in _tree.leaves((case.args, list(case.kwargs.values()))) if is_symbolic(leaf) and leaf.ndim]


def call(case: Op, space: Any, leaf: Callable[[Any], Any]) -> list[Any]:
    """Return the results of a row's call, flat; ``leaf`` changes the arguments."""
    args, kwargs = _tree.map_leaves(leaf, (case.args, case.kwargs))
    return _tree.leaves(operator.attrgetter(case.name)(space)(*args, **kwargs))


def given(case: Op, dtype: str | None, batch: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a row's arguments with symbolic tensors for its arrays; ``dtype``: another one for all of them."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or isinstance(value, Fixed):
            return np.asarray(value) if isinstance(value, Fixed) else value
        shape = value.shape if batch or not value.ndim else (None, *value.shape[1:])
        return Input(batch_shape=shape, dtype=dtype or str(value.dtype))

    args, kwargs = _tree.map_leaves(leaf, (case.args, case.kwargs))
    return args, kwargs


def stated(case: Op, args: Any, kwargs: Any) -> Any:
    """Return what the function's rule says."""
    function = operator.attrgetter(case.name)(ops)
    assert facts_of(function).spec is not None
    return Function(function, facts_of(function)).stated_spec(args, kwargs)


def both(case: Op, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return what the rule says, and what running the function on fake tensors does; None where one cannot."""
    by_rule = stated(case, args, kwargs)
    try:
        return by_rule, runtime.infer(Function(operator.attrgetter(case.name)(ops)), args, kwargs)
    except (ValueError, RuntimeError, TypeError):
        return by_rule, None


@pytest.mark.parametrize(
    ("dtype", "batch"),
    [(None, True), (None, False), *((dtype, False) for dtype in DTYPES if "complex" not in dtype)],  # those that rules know
)
def test_rules_say_what_running_says(dtype: str | None, batch: bool) -> None:
    wrong = []
    for case in STATED:
        args, kwargs = given(case, dtype, batch)
        by_rule, found = both(case, args, kwargs)
        if by_rule is not None and by_rule != found:
            wrong.append((case.id, by_rule, found))
    assert wrong == []


UNKNOWN_AXES: dict[str, Callable[[int, int], bool]] = {  # which axes of which array are of unknown size
    "all": lambda number, axis: True,
    "the last arrays'": lambda number, axis: number > 0,
}
NOT_REPORTED = {  # case: what it needs to know
    "squeeze": "which axes have size 1",
    "unstack": "how many parts there are",
    "image.perspective_transform": "that there are four points, as Keras does",
    "sparse_categorical_crossentropy logits": "whether the target's last axis has size 1",
}


@pytest.mark.parametrize("unknown", UNKNOWN_AXES)
def test_unknown_sizes_beside_known_ones(unknown: str) -> None:
    """Each function says no size that running does not give, and takes what Keras takes."""
    wrong = []
    for case in (case for case in CASES if case.symbolic and not case.free and arrays(case)):
        numbers = itertools.count()

        def leaf(value: Any, numbers: Iterator[int] = numbers) -> Any:
            if not is_symbolic(value) or not value.ndim:
                return plain(value)
            number = next(numbers)
            shape = [None if UNKNOWN_AXES[unknown](number, axis) else size for axis, size in enumerate(value.shape)]
            return Input(batch_shape=shape, dtype=str(value.dtype))

        try:
            reported = call(case, ops, leaf) if unknown == "all" or len(arrays(case)) > 1 else []
        except AnabranchError as error:
            wrong.append((case.id, error.fact))
            continue
        if reported:
            wrong += [
                (case.id, one.shape, tuple(real.shape)) for one, real in zip(reported, call(case, ops, plain), strict=True)
                if not same(one.shape, tuple(real.shape)) or one.dtype != str(real.dtype).removeprefix("torch.")
            ]  # fmt: skip
    assert [each for each in wrong if each[0] not in NOT_REPORTED] == []


def test_every_rule_answers() -> None:
    answered = set()
    for case in (case for case in CASES if facts_of(operator.attrgetter(case.name)(ops)).spec):
        if stated(case, *given(case, "float32" if case.name != "where" else None, False)) is not None:
            answered.add(operator.attrgetter(case.name)(ops))
    assert answered == {getattr(ops, name) for name in dir(ops) if facts_of(getattr(ops, name)).spec}


def agree(by_rule: Any, found: Any, *shapes: Any) -> bool:
    """Return whether a rule and a run say the same; of unknown sizes a rule may know less or more, and need not fit."""
    if by_rule is None or by_rule == found:
        return True
    if not any(None in shape for shape in shapes):
        return False
    return found is None or (by_rule.dtype == found.dtype and same(by_rule.shape, found.shape))


SHAPES: list[Any] = [(), (1,), (4,), (None,), (3, 4), (None, 4), (None, 1), (2, None), (1, 3, 4), (None, 3, 4), (None, None, 4)]
BINARY = ("add", "maximum", "divide_no_nan", "power", "equal", "logical_and", "matmul")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kinds", [("float32", "float32"), ("float16", "float32"), ("int32", "float32"), ("bool", "int64")])
def test_two_operands_of_any_shapes(name: str, kinds: tuple[str, str]) -> None:
    case = Op(name)
    for a in SHAPES:
        operands: list[Any] = [Input(batch_shape=b, dtype=kinds[1]) for b in SHAPES] + [2, 0.5, True]
        for operand in operands:
            by_rule, found = both(case, (Input(batch_shape=a, dtype=kinds[0]), operand), {})
            assert agree(by_rule, found, a, getattr(operand, "shape", ())), (name, a, operand)


AXES: list[Any] = [None, 0, 1, -1, -2, 5, (0, 1), (1, -1), (), "1", 1.0, True]
ALONG = ("sum", "max", "argmax", "any", "std", "softmax", "squeeze", "flip", "expand_dims", "swapaxes")


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8", "bool"])
def test_axes_of_any_kind(name: str, dtype: str) -> None:
    case = Op(name)
    for shape in SHAPES:
        for axis in AXES:
            x = Input(batch_shape=shape, dtype=dtype)
            by_rule, found = both(case, (x, axis) if name != "swapaxes" else (x, axis, 0), {})
            assert by_rule is None or by_rule == found, (name, shape, axis)


@pytest.mark.parametrize("wanted", [(-1,), (-1, 2), (4, -1), (None, 3), (2, 6), 12, (-1, -1), (0, -1), (12, 1), (5, -1)])
def test_new_shapes(wanted: Any) -> None:
    for shape in [*SHAPES, (0, 4)]:
        by_rule, found = both(Op("reshape"), (Input(batch_shape=shape), wanted), {})
        assert by_rule is None or by_rule == found, (shape, wanted)


@pytest.mark.parametrize("name", ["concatenate", "stack"])
def test_several_tensors(name: str) -> None:
    for a in SHAPES:
        for b in SHAPES:
            for axis in (0, 1, -1, 3):
                by_rule, found = both(Op(name), ([Input(batch_shape=a), Input(batch_shape=b)],), {"axis": axis})
                assert agree(by_rule, found, a, b), (a, b, axis)


def test_what_no_rule_knows_is_run() -> None:
    assert stated(Op("relu"), (Input((4,)), 3), {}) is None
    assert stated(Op("relu"), (np.ones(3),), {}) is None
    assert stated(Op("exp"), (ops.cast(Input((4,)), "complex64"),), {}) is None
    assert facts_of(ops.segment_sum).spec is None
