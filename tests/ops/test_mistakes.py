"""What functions say of mistakes, on symbolic tensors and on numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anabranch import Input, ops
from anabranch._errors import AnabranchError, EngineError

X = np.zeros((2, 4, 6), "float32")


def sequence() -> Any:
    return Input((4, 6), name="sequence")


def images() -> Any:
    return Input((8, 8, 3), name="images")


MISTAKES: dict[str, Callable[[], Any]] = {
    "axis_of_a_symbol": lambda: ops.mean(sequence(), axis=3),
    "axis_of_numbers": lambda: ops.softmax(X, axis=-4),
    "axis_twice": lambda: ops.sum(X, axis=(1, -2)),
    "transpose_without_batch": lambda: ops.transpose(sequence(), (1, 0)),
    "squeeze": lambda: ops.squeeze(sequence(), axis=1),
    "unequal_parts": lambda: ops.split(sequence(), 4, axis=-1),
    "matmul": lambda: ops.matmul(sequence(), ops.ones((4, 2))),
    "matmul_of_numbers": lambda: ops.matmul(X, X),
    "reshape_without_batch": lambda: ops.reshape(sequence(), (24,)),
    "reshape_of_numbers": lambda: ops.reshape(X, (-1, 5)),
    "concatenate_ranks": lambda: ops.concatenate([sequence(), ops.mean(sequence(), axis=1)], axis=-1),
    "nothing_to_stack": lambda: ops.stack([]),
    "conv_channels": lambda: ops.conv(images(), ops.ones((3, 3, 4, 8))),
    "conv_rank": lambda: ops.conv(sequence(), ops.ones((3, 3, 6, 8))),
    "interpolation": lambda: ops.image.resize(images(), (4, 4), interpolation="linear"),
    "window": lambda: ops.max_pool(images(), 9),
    "dtype": lambda: ops.cast(X, "float31"),
    "shape_of_unknown_size": lambda: ops.zeros(sequence().shape),
    "strings": lambda: ops.add(np.array(["a"]), 1),
    "one_hot_for_class_indices": lambda: ops.categorical_crossentropy(np.zeros(2, "int32"), np.ones((2, 3), "float32")),
    "numbers_of_a_symbol": lambda: ops.convert_to_numpy(sequence()),
    "places_of_a_symbol": lambda: ops.where(sequence() > 0),
    "einsum": lambda: ops.einsum("bij,bjk->bik", X, np.ones((6, 2), "float32")),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, golden: Callable[[str, str], None]) -> None:
    with pytest.raises(AnabranchError) as caught:
        MISTAKES[name]()
    golden(f"errors/ops_{name}", str(caught.value))


SHORT, BYTES = np.array([1, 2, 3], "int32"), np.array([1, 2], "uint8")


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin", "ptp", "nanmax", "nanmin", "nanargmax"])
def test_nothing_to_choose_from_is_said_in_our_words(name: str) -> None:
    function = getattr(ops, name)
    for empty, axis in ((np.zeros(0, "float32"), None), (np.zeros((3, 0), "float32"), 1)):
        with pytest.raises(
            EngineError, match=r"(?s)there is no element along an axis that it reduces\.\n  expected: one or more"
        ):
            function(empty, axis=axis)
    assert function(np.zeros((3, 0), "float32"), axis=0).shape == (0,)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.clip(SHORT, 0, 2**40), lambda: ops.clip(BYTES, 0, 300), lambda: ops.full_like(SHORT, 2**40),
        lambda: ops.clip(np.ones(2, "float16"), 0, 1e6), lambda: ops.pad(SHORT, 1, constant_values=2**40),
        lambda: ops.threshold(SHORT, 1, 2**40), lambda: ops.power(BYTES, 300),
    ],
)  # fmt: skip
def test_a_number_that_torch_cannot_convert_is_named(call: Callable[[], object]) -> None:
    with pytest.raises(EngineError, match=r"(?s)a number does not fit the dtype of the tensor\..*ops\.cast\(x"):
        call()


@pytest.mark.parametrize("name", ["mod", "floor_divide"])
@pytest.mark.parametrize("divisor", [0, 2**40])
def test_a_divisor_that_is_zero_is_named(name: str, divisor: int) -> None:
    with pytest.raises(EngineError, match=r"(?s)a divisor is 0, or is in the dtype of the tensor\..*ops\.cast\(x"):
        getattr(ops, name)(SHORT, divisor)


def test_an_integer_to_a_negative_power_is_named() -> None:
    with pytest.raises(EngineError, match=r"(?s)is no integer\.\n  expected: floats.*ops\.cast\(x, 'float32'\)"):
        ops.power(SHORT, -1)
