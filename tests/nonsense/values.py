"""The wrong values: one of each kind that people pass by mistake, by the code that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import anabranch as ab


def _held_by_itself() -> list[Any]:
    found: list[Any] = [1.0]
    found.append(found)
    return found


def _used_up() -> Iterator[int]:
    found = iter([1])
    next(found)
    return (each for each in found)


WRONG: dict[str, Callable[[], Any]] = {
    "'a'": lambda: "a",
    "b'a'": lambda: b"a",
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "2**70": lambda: 2**70,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "[]": list,
    "['a']": lambda: ["a"],
    "{}": dict,
    "object()": object,
    "zeros(0)": lambda: np.zeros(0, "float32"),
    "ones of rank 6": lambda: np.ones((2,) * 6, "float32"),
    "-2**63 - 1": lambda: -(2**63) - 1,
    "1j": lambda: 1j,
    "{'a': 1}": lambda: {"a": 1},
    "[None]": lambda: [None],
    "[[1], [2, 3]]": lambda: [[1], [2, 3]],
    "a list in itself": _held_by_itself,
    "a used generator": _used_up,
    "'a' with NUL and newline": lambda: "a\0\nb",
    "'.'": lambda: ".",
    "a class": lambda: ab.layers.Dense,
    "a layer": lambda: ab.layers.Dense(2),
    "a symbol": lambda: ab.Input((4,)),
    "a function of nothing": lambda: lambda: None,
    "an array of objects": lambda: np.array([None, "a", 1], object),
    "an array of strings": lambda: np.array(["a", "b"]),
    "array(nan)": lambda: np.array(float("nan")),
    "float32(-1.5)": lambda: np.float32(-1.5),
    "int64(-3)": lambda: np.int64(-3),
    "bool_(True)": lambda: np.bool_(True),
    "a meta tensor": lambda: torch.ones(2, 3, device="meta"),
    "a sparse tensor": lambda: torch.eye(3).to_sparse(),
}
COMMONEST = dict(list(WRONG.items())[:16])  # the commonest, for what takes long or has one place
RIGHT = "right"  # the label of a call with no wrong value, which must succeed
