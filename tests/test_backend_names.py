"""``keras.backend``'s names of dtypes and tensors, beside Keras's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from anabranch import Input, backend, random
from anabranch._errors import DtypeError

DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32",
    "float64", "complex64", "complex128", int, float, None,
)  # fmt: skip


def test_result_types_are_keras(keras: Any) -> None:
    given = [each for count in (1, 2, 3) for each in itertools.combinations_with_replacement(DTYPES, count)]
    assert [each for each in given if backend.result_type(*each) != keras.backend.result_type(*each)] == []
    assert backend.result_type() == "float32"
    with pytest.raises(DtypeError):
        backend.result_type("float8_e4m3fn", "float32")


@pytest.mark.parametrize(
    "dtype", [None, "int", int, float, bool, str, complex, torch.bfloat16, np.int8, np.dtype("float16"), "uint32"]
)
def test_names_of_dtypes_are_keras(keras: Any, dtype: Any) -> None:
    assert backend.standardize_dtype(dtype) == keras.backend.standardize_dtype(dtype)
    assert backend.is_float_dtype(dtype) == keras.backend.is_float_dtype(dtype)
    assert backend.is_int_dtype(dtype) == keras.backend.is_int_dtype(dtype)


def test_other_names() -> None:
    with pytest.raises(DtypeError, match="Unknown dtype"):
        backend.standardize_dtype("float31")
    assert backend.is_keras_tensor(Input((2,)))
    assert not backend.is_keras_tensor(np.ones(2))
    backend.clear_session()
    assert [backend.get_uid("a"), backend.get_uid("a"), backend.get_uid("b")] == [1, 2, 1]
    backend.clear_session()
    assert backend.get_uid("a") == 1


@pytest.mark.parametrize(
    ("name", "arguments", "mean", "variance"),
    [
        ("gamma", (3.0,), 3, 3),
        ("gamma", (0.5,), 0.5, 0.5),
        ("beta", (2.0, 3.0), 0.4, 0.04),
        ("binomial", (10, 0.3), 3, 2.1),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_draws_have_their_distribution(
    name: str, arguments: tuple[float, ...], mean: float, variance: float, dtype: str
) -> None:
    drawn = getattr(random, name)((200, 500), *arguments, dtype=dtype, seed=3)
    assert str(drawn.dtype) == f"torch.{dtype}"
    assert drawn.double().mean().item() == pytest.approx(mean, rel=0.02)
    assert drawn.double().var().item() == pytest.approx(variance, rel=0.05)
    assert torch.equal(drawn, getattr(random, name)((200, 500), *arguments, dtype=dtype, seed=3))
    sequence = random.SeedGenerator(1)
    two = [getattr(random, name)((4, 2), *arguments, seed=sequence) for _ in range(2)]
    assert not torch.equal(*two)
    rows = torch.tensor([[1.0], [2.0]]) if name != "binomial" else torch.tensor([[10], [20]])
    assert getattr(random, name)((2, 3), rows, *arguments[1:]).shape == (2, 3)


def test_a_seed_generator_goes_on() -> None:
    first, second = random.SeedGenerator(5), random.SeedGenerator.from_config({"seed": 5})
    assert [first.next().tolist(), first.next().tolist()] == [second.next().tolist(), second.next().tolist()]
    assert first.next().tolist() != second.seed
