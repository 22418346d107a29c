"""Every pointwise function keeps its mask by every spelling, described and at run time; what is unknown warns."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import anabranch as ab
from anabranch import layers, ops, runtime
from anabranch._errors import EngineError
from anabranch.graph.facts import pointwise
from anabranch.graph.methods import METHODS
from anabranch.graph.operators import OPERATORS
from anabranch.ops._public import facts_of

DATA = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]]], "float32")  # Masking leaves out the second step
MASK = [[True, False, True]]
OTHER_NAMES = {"absolute": "abs", "negative": "neg", "arccos": "acos", "subtract": "sub", "divide": "div"}
INTEGERS = {
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_not",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "gcd",
    "lcm",
}  # they take no floats
RECORDS = {operator.eq, operator.ne}  # between symbolic tensors they compare the records
BITS = {operator.and_, operator.or_, operator.xor, operator.invert}
ALIASES = {"bitwise_invert", "left_shift", "right_shift"}
COMPLEX = {torch.imag, torch.view_as_real}  # torch's take no real numbers
NEED_MORE = {"where", "clip", "cast", "saturate_cast", "full_like", "threshold"}  # an argument that is no tensor


def arity(function: Any) -> int:
    """Return how many arguments a function cannot do without."""
    return sum(p.default is p.empty for p in inspect.signature(function).parameters.values())


POINTWISE = {
    name: arity(getattr(ops, name))
    for name in dir(ops)
    if facts_of(getattr(ops, name)).mask is pointwise and name not in INTEGERS | ALIASES | NEED_MORE
}


def spellings() -> list[Any]:
    found: list[Any] = []
    for name, count in POINTWISE.items():
        found.append(pytest.param(getattr(ops, name), count, id=f"ops.{name}"))
        other = OTHER_NAMES.get(name, name)
        for room, label in ((torch, "torch"), (F, "F")):
            if callable(getattr(room, other, None)) and other != "equal":  # torch.equal is one boolean
                found.append(pytest.param(getattr(room, other), count, id=f"{label}.{other}"))
        if other in METHODS:
            found.extend([pytest.param(operator.methodcaller(other), 1, id=f".{other}()")] * (count == 1))
    for function, (_, facts) in OPERATORS.items():
        if facts.mask is pointwise and function not in RECORDS | BITS:
            count = 1 if function in (operator.neg, operator.abs) else 2
            found.append(pytest.param(function, count, id=f"operator.{function.__name__}"))
    return found


@pytest.mark.parametrize(("function", "count"), spellings())
def test_a_pointwise_function_keeps_its_mask(function: Callable[..., Any], count: int) -> None:
    source = ab.Input((3, 2))
    x = layers.Masking()(source)
    if function in COMPLEX:
        x = ops.cast(x, "complex64")
    y = function(*[x] * count)
    assert y.mask_axes == 2
    mask = runtime.mask_of(ab.Model(source, y)(DATA))
    assert mask is not None
    assert mask.tolist() == MASK


@pytest.mark.parametrize(
    ("function", "reach"),
    [
        pytest.param(lambda x: F.layer_norm(x, (2,)), 2, id="layer_norm"),
        pytest.param(lambda x: F.layer_norm(x, (3, 2)), 0, id="layer_norm of steps"),
        pytest.param(lambda x: F.normalize(x, dim=-1), 2, id="normalize"),
        pytest.param(lambda x: F.normalize(x, dim=1), 0, id="normalize steps"),
        pytest.param(lambda x: F.linear(x, torch.ones(4, 2)), 2, id="linear"),
        pytest.param(lambda x: x.reshape(-1, 3, 1, 2), 2, id="reshape of features"),
        pytest.param(lambda x: x.reshape(-1, 2), 0, id="steps and batch in one"),
        pytest.param(lambda x: x.cumsum(1), 0, id="running sum of steps"),
        pytest.param(lambda x: torch.acos(x).sort(-1)[0], 2, id="two in a row"),
        pytest.param(lambda x: ops.transpose(x, (0, 1, 2)), 2, id="transpose of nothing"),
    ],
)
def test_what_acts_along_axes_keeps_the_masks_before_them(function: Any, reach: int) -> None:
    source = ab.Input((3, 2))
    y = function(layers.Masking()(source))
    assert y.mask_axes == reach
    mask = runtime.mask_of(ab.Model(source, y)(DATA))
    assert (mask.tolist() if mask is not None else None) == (MASK if reach else None)


def test_what_is_unknown_drops_the_mask_with_a_warning() -> None:
    x = layers.Masking()(ab.Input((3, 2)))
    with pytest.warns(UserWarning, match=r"mask .* ends here: .* torch's as_strided") as caught:
        y = torch.as_strided(x, (1, 3, 2), (6, 2, 1))
    assert y.mask_axes == 0
    assert caught[0].filename == __file__


def test_sizes_that_are_not_known_meet_those_that_are() -> None:
    x = ab.Input((None, 4))
    assert ops.add(x, ops.ones((10, 4))).shape == (None, 10, 4)
    assert ops.maximum(x, np.ones((10, 4), "float32")).shape == (None, 10, 4)
    assert ops.where(x > 0, x, ops.zeros((10, 4))).shape == (None, 10, 4)
    assert ops.concatenate([x, ab.Input((10, 4))], -1).shape == (None, 10, 8)
    assert ops.matmul(x, ops.ones((4, 3))).shape == (None, None, 3)
    assert ops.matmul(ab.Input((3, None)), ops.ones((5, 2))).shape == (None, 3, 2)
    assert ops.einsum("bij,kj->bik", ab.Input((3, None)), np.ones((5, 7), "float32")).shape == (None, 3, 5)
    assert torch.hypot(x, torch.ones(10, 4)).shape == (None, 10, 4)
    assert ops.get_item(ab.Input((5,)), slice(None, 4)).shape == (None, 5)
    assert ops.diag(ab.Input((3,))).shape == (None,)


WINDOW = np.ones((2, 2, 2), "float32")


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: ops.conv(x, WINDOW, padding="same"), id="conv"),
        pytest.param(lambda x: ops.depthwise_conv(x, WINDOW), id="depthwise_conv"),
        pytest.param(lambda x: ops.separable_conv(x, WINDOW, np.ones((1, 4, 2), "float32")), id="separable_conv"),
        pytest.param(lambda x: ops.conv_transpose(x, WINDOW), id="conv_transpose"),
        pytest.param(lambda x: ops.max_pool(x, 2), id="max_pool"),
        pytest.param(lambda x: ops.average_pool(x, 2, padding="same"), id="average_pool"),
        pytest.param(lambda x: ops.adaptive_average_pool(x, 2), id="adaptive_average_pool"),
        pytest.param(lambda x: ops.adaptive_max_pool(x, 2), id="adaptive_max_pool"),
        pytest.param(
            lambda x: ops.dot_product_attention(*[ops.expand_dims(x, 2)] * 3),
            id="dot_product_attention",
            marks=pytest.mark.on_cpu,  # elsewhere torch may compose it of operations that are judged one by one
        ),
        pytest.param(lambda x: F.max_pool1d(x, 1), id="F.max_pool1d"),
    ],
)
def test_what_combines_positions_drops_the_mask_with_a_warning(function: Callable[..., Any]) -> None:
    """Convolution, pooling and attention mix masked positions with others; the warning names the user's line."""
    x = layers.Masking()(ab.Input((3, 2)))
    with pytest.warns(UserWarning, match="ends here") as caught:
        assert function(x).mask_axes == 0
    assert caught[0].filename == __file__


def test_an_error_names_no_size_that_stood_for_an_unknown_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        F.linear(ab.Input((None, 4)), torch.ones(3, 5))
    assert not any(size in str(caught.value) for size in ("24", "48", "576", "96"))


@pytest.mark.parametrize(
    ("shape", "masked"), [((-1, 3, 2), True), ((-1, 3, 1, 2), True), ((-1, 2, 3), False), ((-1, 6), False), ((-1,), False)]
)
def test_reshaping_behind_the_masked_axes_keeps_the_mask(shape: tuple[int, ...], masked: bool) -> None:
    x = np.array([[[1, 2], [3, 4], [0, 0]], [[5, 6], [0, 0], [0, 0]]], "float32")
    inputs = layers.Input((3, 2))
    hidden = ops.reshape(layers.Masking()(inputs), shape)
    assert hidden.masked is masked
    if shape == (-1, 3, 2):
        model = ab.Model(inputs, layers.GlobalAveragePooling1D()(hidden))
        np.testing.assert_allclose(model.predict(x), [[2, 3], [5, 6]])


def test_a_size_of_one_binds_an_unknown_one() -> None:
    x = layers.Input((None, 4))
    row = np.ones((1, 10, 4), "float32")
    assert ops.hstack([x, row]).shape == (1, None, 4)
    assert ops.dstack([x, row]).shape == (1, 10, 8)
    assert ops.cross(x[..., :3], np.ones((10, 3), "float32")).shape == (None, 10, 3)


def test_a_size_that_depends_on_values_is_said_to() -> None:
    x = layers.Input((4,), dtype="int32")
    for call in (lambda: ops.bincount(x[:, 0]), lambda: ops.segment_max(x, x[:, 0])):
        with pytest.raises(EngineError, match="depends on values"):
            call()
