"""What torch says of its functions, for calls of an fx graph."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from devices import equal
from torch.fx import Graph, Node

from anabranch.engine.passes.operations import facts, is_elementwise, is_reduction
from anabranch.runtime import torch_facts


def call(target: Any, *rest: Any, **kwargs: Any) -> Node:
    """Return the call of a function, or of a method by name, on a tensor; "y" among the arguments is another tensor."""
    graph = Graph()
    x, y = graph.placeholder("x"), graph.placeholder("y")
    args = (x, *(y if each == "y" else each for each in rest))
    return graph.call_method(target, args, kwargs) if isinstance(target, str) else graph.call_function(target, args, kwargs)


ELEMENTWISE = [
    call(torch.relu), call(F.relu), call(F.relu6), call(F.leaky_relu, 0.1), call(F.selu), call(F.gelu), call(F.softsign),
    call(F.hardswish), call(F.logsigmoid), call(torch.square), call(torch.erf), call(torch.special.expit), call("exp"),
    call(operator.add, "y"), call(operator.add, 1.5), call("mul", "y"), call(torch.where, "y", 1.0), call(torch.clamp, 0, 1),
    call(torch.atan2, "y"), call(torch.lerp, "y", 0.5), call("masked_fill", "y", 0.0), call("clone"), call(torch.max, "y"),
]  # fmt: skip
OTHERS = [
    call("mean", (1, 2)), call(torch.conv2d, "y"), call(F.linear, "y"), call(operator.matmul, "y"), call(F.softmax, -1),
    call(F.pad, (1, 1)), call(torch.max_pool2d, (2, 2)), call(F.glu), call(F.normalize), call(F.layer_norm, (2,)),
    call(F.embedding, "y"), call("clone", memory_format=torch.contiguous_format), call(torch.index_select, 0, "y"),
]  # fmt: skip
VIEWS = [
    call("permute", 0, 1), call("reshape", (2, -1)), call("reshape", "y", -1), call("flatten", 1), call("expand", 2, 2),
    call(torch.permute, (0, 1)), call(operator.getitem, (slice(None), None)), call("to", torch.float32), call("float"),
    call("contiguous"), call("type_as", "y"), call(F.dropout, 0.5, False), call("detach"),
]  # fmt: skip
IMPURE = [
    call(F.dropout, 0.5, True), call(F.dropout, 0.5), call(torch.bernoulli), call(torch.rand_like), call("split", 2),
    call(F.batch_norm, "y", "y", training=True), call(F.scaled_dot_product_attention, "y", "y"), call("cuda"), call("size", 0),
    call(torch.native_batch_norm, "y", "y", "y", "y", True, 0.1, 0.1), call(print),
]  # fmt: skip
MUTATING = [
    call("add_", 1), call(F.relu, True), call(F.relu, inplace=True), call(torch.relu_), call(operator.iadd, "y"),
    call(torch.add, "y", out=torch.ones(2)),
]  # fmt: skip


@pytest.mark.parametrize("node", ELEMENTWISE + OTHERS, ids=str)
def test_a_call_that_can_be_repeated_and_gives_new_memory(node: Node) -> None:
    assert facts(node) == (True, False, False)
    assert is_elementwise(node) == (node in ELEMENTWISE)


@pytest.mark.parametrize("node", VIEWS, ids=str)
def test_a_call_that_may_give_what_it_took(node: Node) -> None:
    assert facts(node) == (True, True, False)


def test_inference_mode_changes_no_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_facts, "_sights", {})  # asked for the first time
    with torch.inference_mode():
        for node in ELEMENTWISE + OTHERS + VIEWS:
            assert facts(node) == (True, node in VIEWS, False), node
            assert is_elementwise(node) == (node in ELEMENTWISE or str(node) in ("to", "float_1", "detach")), node


@pytest.mark.parametrize("node", IMPURE, ids=str)
def test_a_call_that_cannot_be_repeated(node: Node) -> None:
    before = torch.get_rng_state()
    assert not facts(node).pure
    assert not facts(node).mutates
    assert not is_elementwise(node)
    assert equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("node", MUTATING, ids=str)
def test_a_call_that_changes_its_argument(node: Node) -> None:
    assert facts(node).mutates
    assert not facts(node).pure
    assert not is_elementwise(node)


def test_casts_move_past_permutations_and_orders_of_memory_do_not() -> None:
    assert [is_elementwise(call("to", torch.bfloat16)), is_elementwise(call("float"))] == [True, True]
    assert [is_elementwise(call("contiguous")), is_elementwise(call("reshape", (2, -1)))] == [False, False]


@pytest.mark.parametrize("name", ["mean", "sum", "amax", "amin", "prod", "any", "all", "logsumexp"])
def test_reductions(name: str) -> None:
    assert is_reduction(call(name, 1))


@pytest.mark.parametrize("name", ["cumsum", "softmax", "norm", "max", "var", "permute"])
def test_no_reductions(name: str) -> None:
    assert not is_reduction(call(name, 1))
