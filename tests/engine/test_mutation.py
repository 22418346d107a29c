"""What is known of values that the code itself changes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from anabranch.engine.passes.base import Settings
from anabranch.engine.passes.constants import take_apart
from anabranch.engine.passes.duplicates import DUPLICATES
from anabranch.engine.passes.mutation import changed_values


class Code(nn.Module):
    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run
        self.moving = nn.Parameter(torch.zeros(3), requires_grad=False)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def through_a_view(code: Any, x: Any) -> Any:
    row = code.moving.reshape(1, 3)
    row.add_(1)
    return row * 1 + x


def the_input(code: Any, x: Any) -> Any:
    x.mul_(2)
    return x + code.moving


def its_own(code: Any, x: Any) -> Any:
    made = torch.relu(x)
    made.add_(1)
    return made.view(-1)


def several(code: Any, x: Any) -> Any:
    torch._foreach_add_([code.moving, x], 1)
    return x


def operators(code: Any, x: Any) -> Any:
    return operator.and_(True, operator.or_(x > 0, x < 1))


CASES = [
    (through_a_view, {"moving", "reshape"}, {"moving", "reshape"}),
    (the_input, {"x"}, {"x"}),
    (its_own, {"relu", "view"}, set()),
    (several, {"moving", "x"}, {"moving", "x"}),
    (operators, set(), set()),
]


@pytest.mark.parametrize(("run", "everything", "others"), CASES, ids=[case[0].__name__ for case in CASES])
def test_changed_values(run: Callable[..., Any], everything: set[str], others: set[str]) -> None:
    graph = torch.fx.symbolic_trace(Code(run)).graph
    mutating = {node.name for node in graph.nodes if node.name.endswith("_")}
    assert {node.name for node in changed_values(graph)} - mutating == everything
    assert {node.name for node in changed_values(graph, own=False)} - mutating == others


def test_what_is_changed_afterwards_is_neither_shared_nor_a_constant() -> None:
    def run(code: Any, x: Any) -> Any:
        first = code.moving * 2
        first.add_(1)
        return first + code.moving * 2 + x

    module = torch.fx.symbolic_trace(Code(run))
    settings = Settings(training=False, no_grad=True)
    DUPLICATES.run(module.graph, module, settings)
    parts = take_apart(module.graph, settings)
    assert [node.name for node in parts.main.nodes if node.target == "add_"] == ["add_"]
    assert [node.target for node in parts.main.nodes].count(operator.mul) == 1  # that which is changed
