"""Binding by the user's keys and by position, never by sorted order."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from anabranch import _tree
from anabranch._errors import ArgumentError, UnknownNameError
from anabranch.graph.binding import Rule, Slots, bind


class Named:
    def __init__(self, name):
        self.name = name


def slots(structure, names=None):
    tensors = tuple(_tree.leaves(structure))
    return Slots("output", tuple(names or [t.name for t in tensors]), tensors, structure)


RULE = Rule("y", lambda value: not _tree.is_nest(value) and value is not None)
ONE = slots(Named("only"))
LIST = slots([Named("z"), Named("a")])
DICT = slots({"second": Named("z"), "first": Named("a")}, ["second", "first"])
NESTED = slots({"p": [Named("x"), Named("y")], "q": Named("w")}, ["x", "y", "w"])


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        (ONE, 1, [1]),
        (ONE, [1], [1]),
        (ONE, {"only": 1}, [1]),
        (LIST, [1, 2], [1, 2]),
        (LIST, (1, 2), [1, 2]),
        (LIST, {"a": 2, "z": 1}, [1, 2]),
        (DICT, {"first": 2, "second": 1}, [1, 2]),
        (DICT, {"a": 2, "z": 1}, [1, 2]),
        (DICT, [1, 2], [1, 2]),
        (NESTED, {"q": 3, "p": [1, 2]}, [1, 2, 3]),
        (NESTED, {"w": 3, "x": 1, "y": 2}, [1, 2, 3]),
        (NESTED, [1, 2, 3], [1, 2, 3]),
    ],
)
def test_values_are_bound_by_key_or_by_position(where, value, expected):
    assert bind(value, where, RULE) == expected


def test_an_extra_key_that_sorts_earlier_is_an_error_and_not_fed():
    # keras#23258: it was fed to the declared input, with only a warning
    with pytest.raises(UnknownNameError, match="'aa'"):
        bind({"aa": 0, "z": 1, "a": 2}, LIST, RULE)


def test_an_unknown_key_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'second'"):
        bind({"secnd": 1, "first": 2}, DICT, RULE)


@pytest.mark.parametrize("value", [{"z": 1}, {"z": 1, "a": None}])
def test_a_missing_key_is_an_error(value):
    with pytest.raises(ArgumentError, match="no value for output 'a'"):
        bind(value, LIST, RULE)


@pytest.mark.parametrize("value", [1, [1], [1, 2, 3], []])
def test_more_or_fewer_values_are_an_error(value):
    with pytest.raises(ArgumentError, match=r"\d values? for \d"):
        bind(value, LIST, RULE)


def test_one_tensor_named_by_both_its_names_is_an_error():
    with pytest.raises(ArgumentError, match="two values"):
        bind({"second": 1, "z": 1, "first": 2}, DICT, RULE)


def test_one_value_serves_all_where_that_is_allowed():
    assert bind(5, LIST, RULE._replace(spread=True)) == [5, 5]


def test_optional_slots_may_go_without():
    rule = RULE._replace(optional=(0,))
    assert bind({"a": 2}, LIST, rule) == [None, 2]
    assert bind([2], LIST, rule) == [None, 2]
    assert bind(2, LIST, rule) == [None, 2]
    assert bind([1, 2], LIST, rule) == [1, 2]


@given(st.permutations(["z", "a", "m", "b2", "b10"]), st.permutations(range(5)))
def test_the_order_in_which_keys_were_written_never_matters(names, order):
    model = slots([Named(name) for name in names])
    value = {names[i]: i for i in order}
    assert bind(value, model, RULE) == list(range(5))
    assert bind(
        {f"k{name}": i for name, i in value.items()}, slots({f"k{n}": Named(n) for n in names}, [f"k{n}" for n in names]), RULE
    ) == [0, 1, 2, 3, 4]
