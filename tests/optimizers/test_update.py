"""Updating in lists: layouts, parts, dtypes, captured numbers, gathered sums; whatever kernel does it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

from anabranch import optimizers, runtime
from anabranch.graph import Home, Weight
from anabranch.optimizers import capturing
from anabranch.optimizers.schedules import ExponentialDecay
from anabranch.optimizers.update import CHUNK, Lists, chunks

RULES: dict[str, Any] = {
    "sgd": lambda rate: optimizers.SGD(rate),
    "momentum": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "nesterov": lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "rmsprop": lambda rate: optimizers.RMSprop(rate),
    "rmsprop momentum": lambda rate: optimizers.RMSprop(rate, momentum=0.5),
    "rmsprop centered": lambda rate: optimizers.RMSprop(rate, centered=True),
    "adam": lambda rate: optimizers.Adam(rate),
    "amsgrad": lambda rate: optimizers.Adam(rate, amsgrad=True, clipnorm=1.0),
    "adamw": lambda rate: optimizers.AdamW(rate, use_ema=True),
}

SHAPES = [(4, 3, 3, 3), (5,), (2, 3)]

every_rule = pytest.mark.parametrize("rule", RULES)


def weights_of(shapes: list[tuple[int, ...]], dtypes: tuple[str, ...] = ("float32",)) -> list[Weight]:
    made = []
    for index, shape in enumerate(shapes):
        array = np.random.default_rng(index).normal(size=shape).astype(dtypes[index % len(dtypes)])
        made.append(Weight(f"w{index}", shape, str(array.dtype), lambda s, dtype=None, a=array: a, Home("layer"), runtime))
    return made


def gradients_of(weights: list[Weight], step: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(100 + step)
    return [on_device(rng.normal(size=tuple(w.value.shape))).to(w.value.dtype) for w in weights]


def train(optimizer: Any, weights: list[Weight], steps: range, change: Any = lambda gradient: gradient) -> list[np.ndarray]:
    optimizer.build(weights)
    for step in steps:
        for weight, gradient in zip(weights, gradients_of(weights, step), strict=True):
            weight.value.grad = change(gradient)
        optimizer.step()
    return [weight.value.detach().double().cpu().numpy() for weight in weights]


def same(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 2e-6) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def exact(rule: str, steps: int = 5) -> list[np.ndarray]:
    """The same in double precision, as the oracle."""
    weights = weights_of(SHAPES)
    doubles = weights_of(SHAPES, ("float64",))
    optimizer = RULES[rule](ExponentialDecay(0.1, 3, 0.5))
    optimizer.build(doubles)
    for step in range(steps):
        for weight, gradient in zip(doubles, gradients_of(weights, step), strict=True):
            weight.value.grad = gradient.double()
        optimizer.step()
    return [weight.value.detach().cpu().numpy() for weight in doubles]


@pytest.mark.usefixtures("kernels")
@every_rule
def test_single_precision_gives_what_double_gives(rule: str) -> None:
    same(train(RULES[rule](ExponentialDecay(0.1, 3, 0.5)), weights_of(SHAPES), range(5)), exact(rule), 2e-5)


@pytest.mark.usefixtures("kernels")
@every_rule
def test_a_gradient_may_lie_in_memory_otherwise_than_its_weight(rule: str) -> None:
    def other(gradient: torch.Tensor) -> torch.Tensor:
        return gradient.to(memory_format=torch.channels_last) if gradient.ndim == 4 else gradient.t().contiguous().t()

    expected = train(RULES[rule](0.1), weights_of(SHAPES), range(4))
    same(train(RULES[rule](0.1), weights_of(SHAPES), range(4), other), expected)


@pytest.mark.usefixtures("kernels")
@every_rule
def test_state_follows_weights_that_are_laid_out_anew(rule: str) -> None:
    expected = train(RULES[rule](0.1), weights_of(SHAPES), range(6))
    weights, optimizer = weights_of(SHAPES), RULES[rule](0.1)
    train(optimizer, weights, range(3))
    weights[0].value.data = weights[0].value.data.to(memory_format=torch.channels_last)
    same(train(optimizer, weights, range(3, 6)), expected)


@every_rule
def test_weights_of_several_dtypes_are_updated_each_in_its_own(rule: str) -> None:
    mixed = train(RULES[rule](0.1), weights_of(SHAPES, ("float32", "float64")), range(4))
    singles = train(RULES[rule](0.1), weights_of(SHAPES, ("float32",)), range(4))
    same(mixed, singles, 1e-4)


@pytest.mark.usefixtures("kernels")
@every_rule
def test_weights_without_gradient_keep_their_state(rule: str) -> None:
    weights, alone = weights_of(SHAPES), weights_of(SHAPES)[:2]
    optimizer, other = RULES[rule](0.1), RULES[rule](0.1)
    optimizer.build(weights)
    other.build(alone)
    before = weights[2].numpy().copy()
    for step in range(4):
        for some in (weights, alone):
            for weight, gradient in zip(some, gradients_of(weights, step), strict=False):
                weight.value.grad = gradient
        weights[2].value.grad = None
        optimizer.step()
        other.step()
    same([w.numpy() for w in weights[:2]], [w.numpy() for w in alone])
    np.testing.assert_array_equal(weights[2].numpy(), before)
    state = optimizer.state_dict()["engine"]["state"].get(2, {})
    assert all(value.unique().numel() == 1 for value in state.values())


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("size", [1e-8, 1e-4, 1.0, 1e6])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_its_formula_whatever_the_gradients_size(size: float, momentum: float) -> None:
    (weight,), optimizer = weights_of([(50,)]), optimizers.RMSprop(0.01, momentum=momentum)
    exact, v, m = weight.numpy().astype("float64"), 0.0, 0.0
    optimizer.build([weight])
    for step in range(200):
        g = np.random.default_rng(step).normal(size=50) * size * (0.1 if step % 7 else 10.0)
        weight.value.grad = on_device(g.astype("float32"))
        optimizer.step()
        v = 0.9 * v + 0.1 * g**2
        m = momentum * m + 0.01 * g / np.sqrt(v + 1e-7)
        exact = exact - m
    np.testing.assert_allclose(weight.numpy(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule != "amsgrad"]
)  # which clips, and torch takes no norm of a sparse tensor
@pytest.mark.not_fake("it has no sparse tensors")
def test_a_sparse_gradient_is_the_dense_one(rule: str) -> None:
    expected = train(RULES[rule](0.1), weights_of(SHAPES[1:]), range(3))
    same(train(RULES[rule](0.1), weights_of(SHAPES[1:]), range(3), torch.Tensor.to_sparse), expected)


@every_rule
def test_a_copy_goes_on_by_itself(rule: str) -> None:
    weights, optimizer = weights_of(SHAPES), RULES[rule](0.1)
    train(optimizer, weights, range(2))
    copied, copies = copy.deepcopy((optimizer, weights))
    expected = train(optimizer, weights, range(2, 4))
    same(train(copied, copies, range(2, 4)), expected)


@every_rule
def test_numbers_on_the_device_give_the_same_weights(rule: str) -> None:
    # what a captured step reads; ``advance`` runs next to a replay
    rate = ExponentialDecay(0.1, 3, 0.5)
    expected = train(RULES[rule](rate), weights_of(SHAPES), range(6))
    weights, optimizer = weights_of(SHAPES), RULES[rule](rate)
    train(optimizer, weights, range(2))
    assert capturing.is_capturable(optimizer)
    capturing.hold_numbers(optimizer, torch.device("cpu"))
    train(optimizer, weights, range(2, 4))
    for step in range(4, 6):
        for weight, gradient in zip(weights, gradients_of(weights, step), strict=True):
            weight.value.grad = gradient
        optimizer._prepare_()
        optimizer._update_()
        optimizer.iterations += 1
    same([w.numpy() for w in weights], expected, 1e-5)


def test_what_advance_does_beside_a_replay() -> None:
    (weight,), optimizer = weights_of([(3,)]), optimizers.SGD(ExponentialDecay(0.1, 1, 0.5))
    optimizer.build([weight])
    capturing.hold_numbers(optimizer, torch.device("cpu"))
    optimizer._prepare_()
    rate, _ = optimizer._numbers_.current
    version = weight.value._version
    capturing.advance(optimizer)
    capturing.advance(optimizer)
    assert optimizer._numbers_.current[0] is rate
    assert float(rate) == pytest.approx(0.05)
    assert (optimizer.iterations, weight.value._version) == (2, version + 2)
    capturing.hold_numbers(optimizer, None)
    optimizer._prepare_()
    assert optimizer._numbers_.current[0] == pytest.approx(0.025)


def test_what_can_be_captured() -> None:
    made = {
        "plain": optimizers.Adam(),
        "gathering": optimizers.Adam(gradient_accumulation_steps=2),
        "averages": optimizers.Adam(use_ema=True),
        "overwriting": optimizers.Adam(use_ema=True, ema_overwrite_frequency=2),
        "torch": optimizers.get(lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
        "several": optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD())),
        "scaled": optimizers.LossScaleOptimizer(optimizers.SGD()),
        "own step": type("Own", (optimizers.SGD,), {"step": lambda self: optimizers.SGD.step(self)})(0.1),
    }
    for optimizer in made.values():
        optimizer.build(weights_of([(2,)]))
    assert [name for name, optimizer in made.items() if capturing.is_capturable(optimizer)] == ["plain", "averages"]


@pytest.mark.usefixtures("kernels")
@every_rule
def test_a_weights_version_counts_the_update(rule: str) -> None:
    weights = weights_of(SHAPES)
    before = [weight.value._version for weight in weights]
    train(RULES[rule](0.1), weights, range(1))
    assert all(weight.value._version > version for weight, version in zip(weights, before, strict=True))


def test_sums_gather_where_autograd_puts_gradients() -> None:
    (weight,), optimizer = weights_of([(3,)]), optimizers.SGD(1.0, gradient_accumulation_steps=3)
    optimizer.build([weight])
    places = set()
    for update in (1, 2):
        for factor in (1.0, 2.0, 6.0):
            optimizer.zero_grad()
            (weight.value.sum() * factor).backward()
            optimizer.step()
            places.add(weight.value.grad.data_ptr())
        assert optimizer.iterations == update
        assert weight.value.grad.tolist() == [3.0] * 3
        optimizer.zero_grad()
        assert weight.value.grad is None
    assert len(places) <= 2


def test_sums_gather_from_given_gradients_which_stay_as_they_are() -> None:
    (weight,), optimizer = weights_of([(2,)]), optimizers.SGD(1.0, gradient_accumulation_steps=2)
    before = weight.numpy().copy()
    given = [on_device([1.0, 1.0]), on_device([3.0, 3.0])]
    for gradient in given:
        optimizer.apply([gradient], [weight])
    np.testing.assert_allclose(weight.numpy(), before - 2.0, atol=1e-6)
    assert [gradient.tolist() for gradient in given] == [[1.0, 1.0], [3.0, 3.0]]
    for factor in (1.0, 3.0):  # a loop that lets autograd add to the sum and then gives it
        optimizer.zero_grad()
        (weight.value.sum() * factor).backward()
        optimizer.apply([weight.value.grad], [weight])
    np.testing.assert_allclose(weight.numpy(), before - 4.0, atol=1e-6)


def test_pieces_are_as_large_as_a_cache_and_hold_each_weight_once() -> None:
    sizes = [10, CHUNK, CHUNK // 2, CHUNK // 2, 1, 5 * CHUNK, 7]
    tensors = [torch.empty(size) for size in sizes]
    pieces = chunks(Lists(tensors, tensors, {"mean": tensors}))
    assert [[w.numel() for w in piece.weights] for piece in pieces] == [
        [10], [CHUNK], [CHUNK // 2, CHUNK // 2], [1], [5 * CHUNK], [7],
    ]  # fmt: skip
    assert all(len(piece.state["mean"]) == len(piece.gradients) == len(piece.weights) for piece in pieces)
