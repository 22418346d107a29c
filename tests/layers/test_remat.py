"""What is recomputed in the backward pass: functions by ``remat``, layers by the scope they were made in."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from devices import here

import anabranch as ab
from anabranch import Input, Model, RematScope, Sequential, layers, remat

X = np.random.default_rng(0).random((8, 16)).astype("float32")


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.tanh(x) * x


def test_a_function_runs_again_for_the_gradient(keras: Any) -> None:
    x = torch.rand(4, device=here(), requires_grad=True)
    found = {}
    for name, library in (("ours", ab), ("theirs", keras)):
        function = Counted()
        output = library.remat(function)(x)
        assert function.calls == 1
        (found[name],) = torch.autograd.grad(output.sum(), x)
        assert function.calls == 2
    torch.testing.assert_close(found["ours"], found["theirs"])


class Block(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.function = layers.Dense(16), Counted()

    def call(self, x: Any) -> Any:
        return remat(self.function)(self.dense(x))


def test_a_layer_that_calls_it_trains_and_runs_it_again() -> None:
    block = Block()
    model = Model(x := Input((16,)), layers.Dense(1)(block(x)))
    model.compile("sgd", "mse")
    plain = Sequential([Input((16,)), layers.Dense(16), layers.Lambda(lambda x: torch.tanh(x) * x), layers.Dense(1)])
    plain.set_weights(model.get_weights())
    plain.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    block.function.calls = 0
    model.fit(X, X[:, :1], verbose=0)
    assert block.function.calls == 2
    plain.fit(X, X[:, :1], epochs=2, verbose=0)
    for ours, wanted in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_on_symbolic_tensors_it_says_what_to_write() -> None:
    dense = layers.Dense(3)
    with pytest.warns(UserWarning, match=r"compile\(remat=…\)"):
        model = Model(x := Input((16,)), remat(dense)(x))
    assert model.trainable_weights == dense.trainable_weights
    with pytest.raises(TypeError, match="f of remat"):
        remat(3)  # type: ignore[arg-type]


def built(scope: RematScope | None) -> Model:
    x = inputs = Input((16,))
    with scope or RematScope(None):
        for number in range(3):
            x = layers.Dense(64, "gelu", name=f"wide{number}")(x)
    return Model(inputs, layers.Dense(1, name="head")(x))


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        (None, ()), (RematScope(), ("wide0", "wide1", "wide2")),
        (RematScope("list_of_layers", layer_names=["wide1", "head"]), ("wide1",)),
        (RematScope("larger_than", output_size_threshold=64), ()),
        (RematScope("larger_than", output_size_threshold=63), ("wide0", "wide1", "wide2")),
        (RematScope("activations"), ("wide0", "wide1", "wide2")),
    ],
)  # fmt: skip
def test_layers_made_in_a_scope_are_recomputed(scope: RematScope | None, paths: tuple[str, ...]) -> None:
    model = built(scope)
    assert model.remat == ()
    model.compile("sgd", "mse")
    assert model.remat == paths
    notes = model.explain_execution(training=True)["remat"].done
    assert len(notes) == len(paths)
    plain = built(None)
    plain.set_weights(model.get_weights())
    plain.compile("sgd", "mse")
    for each in (model, plain):
        each.fit(X, X[:, :1], epochs=2, verbose=0, shuffle=False)
    for ours, wanted in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_what_compile_is_given_comes_first() -> None:
    model = built(RematScope())
    model.compile("sgd", "mse", remat=["wide2"])
    assert model.remat == ("wide2",)


def test_the_scope_is_that_of_creation_and_stays_with_copies() -> None:
    with RematScope():
        inner = layers.Dense(8, "gelu")
        with RematScope(None):
            free = layers.Dense(8)
    outer = layers.Dense(8)
    twin = copy.deepcopy(inner)
    function = Counted()
    assert free.rematerialized_call(function) is function
    assert outer.rematerialized_call(function) is function
    x = torch.rand(4, requires_grad=True)
    inner.rematerialized_call(function)(x).sum().backward()
    assert function.calls == 2
    assert twin.rematerialized_call(function) is not function
    assert "_remat_scope_" not in inner.get_config()


class Own(layers.Layer):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.inner = layers.Dense(units, "gelu")

    def call(self, x: Any) -> Any:
        return self.inner(x)


def test_layers_of_users_have_scopes_too() -> None:
    with RematScope():
        own = Own(64)
    model = Model(x := Input((16,)), layers.Dense(1)(own(x)))
    model.compile("sgd", "mse")
    assert model.remat == ("own",)
    model.fit(X, X[:, :1], verbose=0)
    assert own.get_config()["units"] == 64


def test_modes_are_keras() -> None:
    with pytest.raises((ValueError, TypeError), match="mode of RematScope"):
        RematScope("some")  # type: ignore[arg-type]
