"""Binding: values go to leaves by the user's own keys or by position, whatever the order of a dict."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from anabranch._errors import ArgumentError
from anabranch.graph import bind


@pytest.mark.parametrize(
    ("structure", "names", "value", "expected"),
    [
        ("t", ["x"], 5, [5]),
        ("t", ["x"], {"x": 5}, [5]),
        ("t", ["x"], [5], [5]),
        ("t", ["x"], (5,), [5]),
        (["t"], ["x"], 5, [5]),
        (["t", "t"], ["b", "a"], [1, 2], [1, 2]),
        (["t", "t"], ["b", "a"], (1, 2), [1, 2]),
        (["t", "t"], ["b", "a"], {"a": 2, "b": 1}, [1, 2]),
        ({"p": "t", "q": "t"}, ["p", "q"], {"q": 2, "p": 1}, [1, 2]),
        ({"p": "t", "q": "t"}, ["p", "q"], [1, 2], [1, 2]),
        ([["t", "t"], "t"], ["a", "b", "c"], [[1, 2], 3], [1, 2, 3]),
        ([["t", "t"], "t"], ["a", "b", "c"], [1, 2, 3], [1, 2, 3]),
        ({"p": ["t", "t"], "q": "t"}, ["a", "b", "c"], {"q": 3, "p": [1, 2]}, [1, 2, 3]),
        ({"p": {"r": "t", "s": "t"}, "q": "t"}, ["a", "b", "c"], {"q": 3, "p": {"s": 2, "r": 1}}, [1, 2, 3]),
    ],
)
def test_leaves_come_in_the_structures_order(structure: Any, names: list[str], value: Any, expected: list[int]) -> None:
    assert bind(structure, names, value, "input") == expected


@given(keys=st.permutations(["left", "right", "depth", "mask"]), order=st.permutations([0, 1, 2, 3]))
def test_the_order_of_a_dict_says_nothing(keys: list[str], order: list[int]) -> None:
    numbered = {key: number for number, key in enumerate(keys)}
    shuffled = {keys[i]: i for i in order}
    assert bind(dict.fromkeys(keys, "t"), keys, shuffled, "input") == list(numbered.values())
    assert bind(["t"] * 4, keys, shuffled, "input") == list(numbered.values())


@pytest.mark.parametrize(
    ("structure", "names", "value", "message"),
    [
        (["t", "t"], ["a", "b"], [1], "Another number of inputs"),
        (["t", "t"], ["a", "b"], [1, 2, 3], "Another number of inputs"),
        (["t", "t"], ["a", "b"], 5, "has 2 inputs and was given one"),
        (["t", "t"], ["a", "b"], {"a": 1}, "missing 'b'"),
        (["t", "t"], ["a", "b"], {"a": 1, "b": 2, "c": 3}, "unknown 'c'"),
        ("t", ["x"], {"y": 1}, "missing 'x'; unknown 'y'"),
        ({"p": ["t", "t"], "q": "t"}, ["a", "b", "c"], {"p": [1, 2]}, "missing 'q'"),
        ({"p": ["t", "t"], "q": "t"}, ["a", "b", "c"], {"p": [1], "q": 2}, "Another number"),
    ],
)
def test_mistakes(structure: Any, names: list[str], value: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        bind(structure, names, value, "input")


def test_a_close_key_is_offered() -> None:
    with pytest.raises(ArgumentError, match=r"did you mean 'imgae' -> 'image'\?"):
        bind(["t", "t"], ["image", "label"], {"imgae": 1, "label": 2}, "input")
