"""The wrong values: one of each kind that people pass by mistake, by the code that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
}
RIGHT = "right"  # the label of a call with no wrong value, which must succeed
