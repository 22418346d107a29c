"""Every rule of the table beside what running the function on fake tensors says, over the rows of all functions."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from every_op import CASES, Fixed, Op

from anabranch import Input, _tree, ops, runtime
from anabranch.graph import Function, Tensor
from anabranch.graph.operators import DTYPES
from anabranch.ops._shapes import NAMES, rule_of

TOLD = [case for case in CASES if case.symbolic and operator.attrgetter(case.name)(ops).__name__ in NAMES]


def given(case: Op, dtype: str | None, batch: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a row's arguments with symbolic tensors for its arrays; ``dtype``: another one for all of them."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or isinstance(value, Fixed):
            return np.asarray(value) if isinstance(value, Fixed) else value
        shape = value.shape if batch or not value.ndim else (None, *value.shape[1:])
        return Input(batch_shape=shape, dtype=dtype or str(value.dtype))

    args, kwargs = _tree.map_leaves(leaf, (case.args, case.kwargs))
    return args, kwargs


def both(case: Op, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return what the rule says, and what running the function on fake tensors does; None where one cannot."""
    function = operator.attrgetter(case.name)(ops)
    rule = rule_of(function)
    assert rule is not None
    told = rule(args, kwargs)
    try:
        return told, runtime.infer(Function(function), args, kwargs)
    except (ValueError, RuntimeError, TypeError):
        return told, None


@pytest.mark.parametrize("batch", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("dtype", [None, *DTYPES])
def test_rules_say_what_running_says(dtype: str | None, batch: bool) -> None:
    wrong = []
    for case in TOLD:
        args, kwargs = given(case, dtype, batch)
        told, found = both(case, args, kwargs)
        if told is not None and told != found:
            wrong.append((case.id, told, found))
    assert wrong == []


def test_every_rule_answers() -> None:
    answered = set()
    for case in TOLD:
        function = operator.attrgetter(case.name)(ops)
        rule = rule_of(function)
        if rule is not None and rule(*given(case, "float32" if case.name != "where" else None, False)) is not None:
            answered.add(function.__name__)
    assert answered == NAMES


SHAPES: list[Any] = [(), (1,), (4,), (None,), (3, 4), (None, 4), (None, 1), (2, None), (1, 3, 4), (None, 3, 4), (None, None, 4)]
BINARY = ("add", "maximum", "divide_no_nan", "power", "equal", "logical_and", "matmul")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kinds", [("float32", "float32"), ("float16", "float32"), ("int32", "float32"), ("bool", "int64")])
def test_two_operands_of_any_shapes(name: str, kinds: tuple[str, str]) -> None:
    case = Op(name)
    for a in SHAPES:
        operands: list[Any] = [Input(batch_shape=b, dtype=kinds[1]) for b in SHAPES] + [2, 0.5, True]
        for operand in operands:
            told, found = both(case, (Input(batch_shape=a, dtype=kinds[0]), operand), {})
            assert told is None or told == found, (name, a, operand)


AXES: list[Any] = [None, 0, 1, -1, -2, 5, (0, 1), (1, -1), (), "1", 1.0, True]
ALONG = ("sum", "max", "argmax", "any", "std", "softmax", "squeeze", "flip", "expand_dims", "swapaxes")


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8", "bool"])
def test_axes_of_any_kind(name: str, dtype: str) -> None:
    case = Op(name)
    for shape in SHAPES:
        for axis in AXES:
            x = Input(batch_shape=shape, dtype=dtype)
            told, found = both(case, (x, axis) if name != "swapaxes" else (x, axis, 0), {})
            assert told is None or told == found, (name, shape, axis)


@pytest.mark.parametrize("wanted", [(-1,), (-1, 2), (4, -1), (None, 3), (2, 6), 12, (-1, -1), (0, -1), (12, 1), (5, -1)])
def test_new_shapes(wanted: Any) -> None:
    for shape in [*SHAPES, (0, 4)]:
        told, found = both(Op("reshape"), (Input(batch_shape=shape), wanted), {})
        assert told is None or told == found, (shape, wanted)


@pytest.mark.parametrize("name", ["concatenate", "stack"])
def test_several_tensors(name: str) -> None:
    for a in SHAPES:
        for b in SHAPES:
            for axis in (0, 1, -1, 3):
                told, found = both(Op(name), ([Input(batch_shape=a), Input(batch_shape=b)],), {"axis": axis})
                assert told is None or told == found, (a, b, axis)


def test_what_no_rule_knows_is_run() -> None:
    rule = rule_of(ops.relu)
    assert rule is not None
    assert rule((Input((4,)), 3), {}) is None
    assert rule((np.ones(3),), {}) is None
    assert rule_of(ops.segment_sum) is None
    masked = layers_mask()
    assert masked.masked
    assert rule((masked,), {}) is None


def layers_mask() -> Tensor:
    from anabranch import layers

    tensor: Tensor = layers.Masking()(Input((3, 2)))
    return tensor
