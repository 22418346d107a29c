"""Calls with given values of weights: for ``torch.func``, beside real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import here

import anabranch as ab
from anabranch import Input, Model, Sequential, StatelessScope, layers


def values(weights: Any) -> list[torch.Tensor]:
    return [weight[...].detach() for weight in weights]


def made(library: Any) -> Any:
    inputs = library.Input((6, 6, 3))
    x = library.layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(inputs)
    x = library.layers.BatchNormalization(momentum=0.5)(x)
    x = library.layers.Reshape((4, 16))(x)
    x = library.layers.LSTM(5)(x)
    return library.Model(inputs, library.layers.Dense(5, activity_regularizer="l1")(x))


def seeds(model: Any) -> list[torch.Tensor]:
    """Return the states of random generators, which are variables in Keras."""
    return [weight.value for weight in model.non_trainable_variables if "seed" in weight.path]


def pair(keras: Any) -> tuple[Model, Any]:
    ours, theirs = made(ab), made(keras)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


X = np.random.default_rng(0).random((8, 6, 6, 3)).astype("float32")
Y = np.random.default_rng(1).random((8, 5)).astype("float32")


@pytest.mark.parametrize("training", [False, True])
def test_a_call_is_keras(keras: Any, training: bool) -> None:
    ours, theirs = pair(keras)
    fresh = np.random.default_rng(2)
    trained = [fresh.random(weight.shape).astype("float32") - 0.5 for weight in ours.trainable_variables]
    others = [fresh.random(weight.shape).astype("float32") for weight in ours.non_trainable_variables]
    before = ours.get_weights()
    x = torch.from_numpy(X).to(here())
    outputs, after, added = ours.stateless_call(trained, others, x, training=training, return_losses=True)
    expected = theirs.stateless_call(
        [torch.from_numpy(each) for each in trained], [*map(torch.from_numpy, others), *seeds(theirs)], torch.from_numpy(X),
        training=training, return_losses=True,
    )  # fmt: skip
    np.testing.assert_allclose(outputs.detach().cpu(), expected[0].detach(), atol=1e-5)
    for found, wanted in zip(after, expected[1], strict=False):
        np.testing.assert_allclose(found.cpu(), wanted.detach(), atol=1e-5)
    assert sorted(float(loss) for loss in added) == pytest.approx(sorted(float(loss) for loss in expected[2]), rel=1e-4)
    assert all((now == then).all() for now, then in zip(ours.get_weights(), before, strict=True)), "the weights stay"


def test_gradients_are_those_of_the_weights() -> None:
    model = made(ab)
    x = torch.from_numpy(X).to(here())

    def total(given: list[torch.Tensor]) -> torch.Tensor:
        outputs, _ = model.stateless_call(given, values(model.non_trainable_variables), x, training=True)
        return outputs.square().sum()

    found = torch.func.grad(total)(values(model.trainable_variables))
    model(x, training=True).square().sum().backward()
    for gradient, weight in zip(found, model.trainable_variables, strict=True):
        wanted = weight.from_native(weight.value.grad)
        torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-3)


def test_vmap_runs_an_ensemble() -> None:
    model = Sequential([Input((4,)), layers.Dense(8, "tanh"), layers.LayerNormalization(), layers.Dense(3)])
    x = torch.rand(5, 4, device=here())
    members = [[torch.rand(weight.shape, device=here()) for weight in model.trainable_variables] for _ in range(3)]
    stacked = [torch.stack(each) for each in zip(*members, strict=True)]
    found = torch.func.vmap(lambda given: model.stateless_call(given, [], x)[0])(stacked)
    for member, one in zip(members, found, strict=True):
        torch.testing.assert_close(one, model.stateless_call(member, [], x)[0])
    jacobian = torch.func.jacrev(lambda given: model.stateless_call(given, [], x)[0])(members[0])
    assert jacobian[0].shape == (5, 3, 4, 8)


def test_gradients_of_each_sample() -> None:
    layer = layers.Dense(1)
    layer.build((None, 2))
    state = values(layer.trainable_variables)
    x = torch.rand(4, 2, device=here())
    each = torch.func.vmap(torch.func.grad(lambda given, row: layer.stateless_call(given, [], row[None])[0].sum()), (None, 0))
    torch.testing.assert_close(each(state, x)[0][..., 0], x)


def test_a_loop_with_values_is_keras(keras: Any) -> None:
    """The loop of Keras's guide: stateless_call, stateless_compute_loss, stateless_apply; the weights are set at the end."""

    def trained(library: Any, model: Any, device: Any) -> list[np.ndarray[Any, Any]]:
        optimizer = library.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, library.losses.MeanSquaredError())
        optimizer.build(model.trainable_variables)
        x, y = torch.from_numpy(X).to(device), torch.from_numpy(Y).to(device)

        def total(given: Any, others: Any) -> Any:
            outputs, others, added = model.stateless_call(given, others, x, training=True, return_losses=True)
            loss, _ = model.stateless_compute_loss(given, others, [], x, y, outputs)
            return loss + sum(added[:1]), others

        def current(weights: Any) -> list[torch.Tensor]:
            return [torch.tensor(weight.numpy(), device=device) for weight in weights]

        given, others = current(model.trainable_variables), current(model.non_trainable_variables)
        state = current(optimizer.variables)
        for _ in range(3):
            for each in given:
                each.requires_grad_()
            loss, others = total(given, others)
            gradients = torch.autograd.grad(loss, given)
            given, state = optimizer.stateless_apply(state, list(gradients), [each.detach() for each in given])
            given, others = [each.detach() for each in given], [each.detach() for each in others]
        for weight, value in zip((*model.trainable_variables, *model.non_trainable_variables), (*given, *others), strict=True):
            weight.assign(value)
        return [weight.numpy() for weight in model.weights]

    theirs = made(keras)
    ours = made(ab)
    theirs.set_weights(ours.get_weights())
    for found, wanted in zip(trained(ab, ours, here()), trained(keras, theirs, "cpu"), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_the_loss_is_differentiated_too() -> None:
    model = Sequential([Input((2,)), layers.Dense(1, kernel_regularizer="l2")])
    model.compile(loss="mse")
    x, y = torch.rand(4, 2, device=here()), torch.rand(4, 1, device=here())

    def total(given: list[torch.Tensor]) -> torch.Tensor:
        outputs, others = model.stateless_call(given, [], x)
        return model.stateless_compute_loss(given, others, [], x, y, outputs)[0]

    found = torch.func.grad(total)(values(model.trainable_variables))
    model.compute_loss(x, y, model(x)).backward()
    for gradient, weight in zip(found, model.trainable_variables, strict=True):
        torch.testing.assert_close(gradient, weight.from_native(weight.value.grad))


def test_torch_modules_get_the_values() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model = Model(x := Input((2,)), layers.TorchModuleWrapper(module)(x))
    data = torch.rand(8, 2, device=here())
    others = values(model.non_trainable_variables)
    outputs, after = model.stateless_call(
        [torch.zeros(w.shape, device=here()) for w in model.trainable_variables], others, data, training=True
    )
    assert (outputs == 0).all()
    assert any(not torch.equal(now, then) for now, then in zip(after, others, strict=True))
    assert all(torch.equal(now, then) for now, then in zip(values(model.non_trainable_variables), others, strict=True))


class Counting(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs: Any) -> Any:
        self.count.assign_add(1.0)
        self.add_loss(inputs.sum() * self.count[...])
        return inputs * self.count[...]


def test_what_a_call_assigns_comes_back() -> None:
    layer = Counting()
    layer.build((None, 1))
    outputs, after, added = layer.stateless_call([], [torch.tensor(4.0, device=here())], torch.ones(1, 1), return_losses=True)
    assert (outputs.item(), after[0].item(), [each.item() for each in added]) == (5.0, 5.0, [5.0])
    assert float(layer.count) == 0
    assert layer.losses == []


def test_a_scope_is_keras(keras: Any) -> None:
    def ran(library: Any) -> tuple[Any, ...]:
        dense, count = library.layers.Dense(2, use_bias=False), library.Variable(1.0)
        dense.build((None, 2))
        with library.StatelessScope([(dense.kernel, torch.arange(4.0).reshape(2, 2)), (count, torch.tensor(3.0))]) as scope:
            count.assign(count + 1)
            found = dense(torch.eye(2))
        return found.tolist(), float(scope.get_current_value(count)), float(count.numpy())

    assert ran(ab) == ran(keras) == ([[0.0, 1.0], [2.0, 3.0]], 4.0, 1.0)


def test_a_scope_collects_losses() -> None:
    layer = Counting()
    layer.build((None, 1))
    with StatelessScope(collect_losses=True) as scope:
        layer(torch.ones(1, 1))
    assert [float(loss) for loss in scope.losses] == [1.0]
    with StatelessScope() as scope:
        layer(torch.ones(1, 1))
    assert scope.losses == []
    assert float(scope.get_current_value(layer.count)) == 1
    assert float(layer.count) == 0


def test_values_that_do_not_fit_are_refused() -> None:
    layer = layers.Dense(3)
    with pytest.raises(RuntimeError, match="has no weights yet"):
        layer.stateless_call([], [], [[1.0, 2.0]])
    layer.build((None, 2))
    with pytest.raises(ValueError, match="one value for each of the 2 weights"):
        layer.stateless_call([torch.zeros(2, 3)], [], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="its shape in torch's layout") as error:
        layer.stateless_call([weight.value.detach() * 1 for weight in layer.trainable_variables], [], [[1.0, 2.0]])
    assert "weight[...]" in str(error.value)
    with pytest.raises(ValueError, match="pairs of a variable and its value"):
        StatelessScope([(1, 2)])
    assert layer.stateless_call(layer.trainable_variables, [], [[0.0, 0.0]])[0].shape == (1, 3)


def test_a_symbolic_call_is_not_noted() -> None:
    layer = layers.Dense(3)
    first = layer(Input((2,)))
    assert layer.symbolic_call(Input((2,))).shape == (None, 3)
    assert layer.output.key == first.key
    assert list(layer.torch_params) == ["dense/kernel", "dense/bias"]
    assert layer.torch_params["dense/kernel"] is layer.kernel.value


def test_pairs_may_come_from_any_iterable() -> None:
    count = ab.Variable(1.0)
    for pairs in ([(count, 2.0)], ((each, 2.0) for each in (count,)), {count: 2.0}.items(), zip([count], [2.0], strict=True)):
        with StatelessScope(pairs) as scope:
            assert float(scope.get_current_value(count)) == 2.0
