"""``anabranch.tree`` beside Keras's: results and refusals, over random nests."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from random import Random
from typing import Any

import pytest

from anabranch import tree
from anabranch._errors import ArgumentError

Point = namedtuple("Point", ["x", "y"])


def nest(rng: Random, depth: int = 3) -> Any:
    """Return a random nest."""
    if not depth or rng.random() < 0.3:
        return rng.choice([0, 1.5, None, "text"])
    parts = [nest(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    keys = sorted(rng.sample("abc", len(parts)))  # inside of others, Keras sorts dicts with optree alone
    kind = rng.randrange(5)
    made = (list(parts), tuple(parts), dict(zip(keys, parts, strict=True)), deque(parts), None)
    return made[kind]  # of dicts with an order of their own, Keras's libraries are of several opinions


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what a call gives, or that it is refused."""
    try:
        return function(*args, **kwargs)
    except (ValueError, TypeError):
        return "refused"


@pytest.mark.parametrize("seed", range(60))
def test_equals_keras(keras: Any, seed: int) -> None:
    rng = Random(seed)
    a, b = nest(rng), nest(rng)
    b = keras.tree.map_structure(str, a) if rng.random() < 0.4 else b
    values = list(range(len(tree.flatten(a)) + (rng.random() < 0.1)))
    ours, theirs = calls(tree, a, b, values), calls(keras.tree, a, b, values)
    if [path for path, _ in tree.flatten_with_path(a)] != [path for path, _ in tree.flatten_with_path(b)]:
        assert ours["both"] == ours["same"] == "refused"  # Keras lets leaves of the first stand beside nests
        del ours["both"], ours["same"]
    for name in ours:
        assert ours[name] == theirs[name], name


def calls(space: Any, a: Any, b: Any, values: list[int]) -> dict[str, Any]:
    """Return what each function gives."""
    visited: list[Any] = []
    return {
        "is_nested": space.is_nested(a), "flatten": space.flatten(a), "paths": space.flatten_with_path(a),
        "map": outcome(space.map_structure, lambda x: [x], a), "both": outcome(space.map_structure, lambda x, y: (x, y), a, b),
        "none": outcome(space.map_structure, str, a, none_is_leaf=False),
        "same": outcome(space.assert_same_structure, a, b), "same paths": outcome(space.assert_same_paths, a, b),
        "pack": outcome(space.pack_sequence_as, a, values), "tuples": space.lists_to_tuples(a),
        "down": space.traverse(lambda x: visited.append(x), a), "visited": list(visited),
        "up": space.traverse(lambda x: space.MAP_TO_NONE if x == 0 else visited.append(x), a, top_down=False),
        "visited up": list(visited),
    }  # fmt: skip


def test_up_to_and_shapes(keras: Any) -> None:
    for space in (tree, keras.tree):
        assert space.map_structure_up_to([None, [None, None]], str, [[1, 1], [2, 2]]) == ["[1, 1]", ["2", "2"]]
        assert space.map_shape_structure(lambda shape: shape[0], {"a": (1, None), "b": [(3,)]}) == {"a": 1, "b": [3]}
        assert outcome(space.map_structure_up_to, [None, [None]], str, [1, 2]) == "refused"
        assert outcome(space.map_structure, str) == "refused"


def test_dicts_that_have_an_order_keep_it() -> None:
    assert tree.flatten({"b": 1, "a": 2}) == [2, 1]
    assert tree.flatten(OrderedDict(b=1, a=2)) == [1, 2]
    packed = tree.pack_sequence_as(defaultdict(list, b=0, a=0), [1, 2])
    assert (packed, packed["new"]) == ({"a": 1, "b": 2, "new": []}, [])


def test_named_tuples_stay_what_they_are() -> None:
    assert tree.map_structure(lambda x: x * 2, Point(x=1, y=[2])) == Point(2, [4])
    assert tree.flatten_with_path(Point(5, 6)) == [((0,), 5), ((1,), 6)]
    assert outcome(tree.map_structure, lambda x, y: 0, Point(1, 2), (1, 2)) == "refused"


def test_a_nest_that_holds_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"a": (loop,)})
    for call in (lambda: tree.flatten(loop), lambda: tree.pack_sequence_as(loop, [1])):
        with pytest.raises(ArgumentError, match="holds itself, 3 levels"):
            call()
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert tree.flatten(deep) == [1]
