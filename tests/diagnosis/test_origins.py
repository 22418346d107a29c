"""The steps back from tensors: forks beside a slow reference on random graphs, what is marked, what is folded, depth."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ShapeError
from anabranch.diagnosis.origins import WIDTH, behind, chain, fork, way


def ancestors(tensor: Any) -> set[Any]:
    """All nodes behind a tensor, its own included, by plain recursion."""
    found = {tensor.node}
    for source in tensor.node.inputs:
        found |= ancestors(source)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_the_fork_is_a_lowest_common_ancestor(seed: int) -> None:
    dice = random.Random(seed)
    tensors: list[Any] = [ab.Input((4,)) for _ in range(dice.randint(1, 2))]
    for _ in range(12):
        sources = dice.sample(tensors, dice.randint(1, min(2, len(tensors))))
        tensors.append(layers.add(sources) if len(sources) > 1 else layers.ReLU()(sources[0]))
    for _ in range(10):
        a, b = dice.choices(tensors, k=2)
        common = ancestors(a) & ancestors(b)
        found = fork(a, b)
        assert (found is None) == (not common)
        if found is not None:
            assert found in common
            assert not any(found in {n for t in node.inputs for n in ancestors(t)} for node in common - {found})
            for end in (a, b):
                steps = way(end, found)
                assert steps[0].node is found
                assert steps[-1] is end
                assert all(any(before.key == t.key for t in after.node.inputs) for before, after in itertools.pairwise(steps))


def test_every_node_comes_after_those_it_needs() -> None:
    x = ab.Input((4,))
    y = layers.ReLU()(x)
    end = layers.add([layers.add([y, x]), y])
    order = behind([end])
    assert len(order) == 4
    assert all(order.index(t.node) < order.index(node) for node in order for t in node.inputs)


def shown(merge: Any) -> list[str]:
    with pytest.raises(ShapeError) as caught:
        merge()
    lines = str(caught.value).splitlines()
    assert max(map(len, lines)) <= WIDTH
    return lines


def test_what_both_branches_do_alike_is_not_marked() -> None:
    x = ab.Input((32, 32, 3), name="x")
    left = layers.MaxPooling2D(name="halved")(x)
    right = layers.Conv2D(3, 3, name="cut")(layers.AveragePooling2D(name="halved_too")(x))
    lines = shown(lambda: layers.add([left, right]))
    assert [line for line in lines if "←" in line or "↑" in line] == ["              ↑ height 16 → 14, width 16 → 14"]
    assert "'cut'" in lines[lines.index("              ↑ height 16 → 14, width 16 → 14") - 1]


def test_long_stretches_are_folded_and_the_marked_steps_stay() -> None:
    x = y = ab.Input((64, 4), name="x")
    for _ in range(20):
        y = layers.ReLU()(y)
    y = layers.Conv1D(4, 5, name="cut")(y)
    for _ in range(20):
        y = layers.ReLU()(y)
    lines = shown(lambda: layers.add([x, y]))
    assert sum("… 19 more steps" in line for line in lines) == 2
    assert sum("ReLU" in line for line in lines) == 2  # the first and the last step
    assert next(line for line in lines if "'cut'" in line).endswith("← steps 64 → 60")


def test_many_marked_steps_are_folded_too() -> None:
    x = y = ab.Input((200, 4), name="x")
    for _ in range(40):
        y = layers.Conv1D(4, 3)(y)
    lines = shown(lambda: layers.add([x, y]))
    assert len(lines) < 24
    assert any("more steps" in line for line in lines)


def test_branches_of_two_inputs_go_back_to_both() -> None:
    a, b = ab.Input((8, 8, 3), name="a"), ab.Input((9, 8, 3), name="b")
    lines = shown(lambda: a + layers.ReLU(name="r")(b))
    assert not any("fork" in line for line in lines)
    assert any(line.startswith("  branch 1  Input 'a'") for line in lines)
    assert any(line.startswith("  branch 2  Input 'b'") for line in lines)


def test_two_outputs_of_one_node_part_at_it() -> None:
    import torch

    x = ab.Input((6, 8), name="x")
    a, b = torch.split(x, [2, 4], 1)
    lines = shown(lambda: layers.add([a, b]))
    assert [line[:12] for line in lines[1:4]] == ["  fork      ", "  branch 1  ", "  branch 2  "]
    assert lines[2].split() == ["branch", "1", "the", "fork", "itself", "(None,", "2,", "8)"]
    assert lines[3].split() == ["branch", "2", "the", "fork", "itself", "(None,", "4,", "8)"]


def test_a_branch_inside_is_followed_to_its_first_input() -> None:
    x = ab.Input((16, 16, 3), name="x")
    inner = layers.add([layers.ReLU(name="first")(x), x], name="inner")
    lines = shown(lambda: layers.add([layers.MaxPooling2D(name="pool")(inner), x]))
    steps = [line for line in lines if line.startswith(("  branch", "            ")) and "(None" in line]
    names = [line.split("'")[1] for line in steps if "'" in line]
    assert names == ["first", "inner", "pool"]


def test_a_hundred_thousand_steps() -> None:
    x = y = ab.Input((4,), name="x")
    for _ in range(100_000):
        y = y + 1.0
    lines = shown(lambda: layers.add([layers.Dense(5, name="end")(y), x]))
    assert any("… 99999 more steps" in line for line in lines)
    assert "… 99999 more steps" in chain(y)


def test_operations_are_named_as_readers_know_them() -> None:
    import torch

    x = ab.Input((4,), name="x")
    for tensor, name in (
        (x, "Input 'x'"),
        (x + 1, "the operator +"),
        (x[:, 0], "x[…]"),
        (torch.relu(x), "relu(…)"),
        (layers.Dense(2, name="d")(x), "Dense 'd'"),
        (torch.nn.Linear(4, 2)(x), "Linear 'linear'"),
        (ab.Model(x, x * 2, name="m")(x), "Model 'm'"),
    ):
        assert tensor.node.operation._error_label_() == name
