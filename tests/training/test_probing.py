"""``probe`` beside plain torch hooks on ``to_torch()``; and that nothing of the model changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, on_device

import anabranch as ab
from anabranch import Input, Model, layers
from anabranch._errors import AnabranchError, ArgumentError, NotReadyError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(4, 8, 8, 3)).astype("float32"), RNG.normal(size=(4, 2)).astype("float32")


def residual(rate: float = 0.0, seed: int | None = None) -> Model:
    x = Input((8, 8, 3), name="image")
    h = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(x)
    h = layers.BatchNormalization(name="norm")(h)
    fork = layers.ReLU(name="fork")(h)
    h = layers.Conv2D(4, 3, padding="same", name="branch")(fork)
    h = layers.Add(name="join")([h, fork])
    h = layers.Dropout(rate, seed=seed, name="drop")(h)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    model = Model(x, layers.Dense(2, name="head")(h))
    model.compile("sgd", loss="mse", metrics=["mae"])
    return model


def hooked(model: Model, training: bool) -> tuple[dict[str, torch.Tensor], torch.nn.Module]:
    """Return what plain torch modules give, with the loss's gradients at these, by the names of the modules."""
    module = model.to_torch().train(training)
    found: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: Any, result: torch.Tensor) -> None:
            if result.requires_grad:
                result.retain_grad()
            found[name] = result

        return hook

    for name, part in module.named_modules():
        if name:
            part.register_forward_hook(watch(name))
    loss = torch.nn.functional.mse_loss(module(on_device(X)), on_device(Y))
    module.zero_grad()
    loss.backward()
    found["loss"] = loss
    return found, module


@pytest.mark.parametrize("training", [False, True])
def test_numbers_are_those_of_hooks_on_torch_modules(training: bool) -> None:
    model = residual()
    probe = model.probe(X, Y, training=training)
    found, module = hooked(model, training)
    assert probe.loss == pytest.approx(found["loss"].item(), rel=1e-5)
    rows = {row.id: row for row in probe.rows}
    compared = [name for name in found if name in rows]
    assert {"stem", "norm", "fork", "branch", "pool", "head"} <= set(compared)
    for name in compared:
        value, row = found[name].detach(), rows[name]
        assert row.activation_mean == pytest.approx(value.mean().item(), rel=1e-4, abs=1e-6), name
        assert row.activation_std == pytest.approx(value.std(unbiased=False).item(), rel=1e-4), name
        assert row.zeros == pytest.approx((value == 0).float().mean().item()), name
        assert (row.min, row.max) == pytest.approx((value.min().item(), value.max().item()), rel=1e-4, abs=1e-6), name
        assert row.gradient_norm == pytest.approx(found[name].grad.norm().item(), rel=1e-4), name
    gradients = {name: parameter.grad.norm().item() for name, parameter in module.named_parameters()}
    names = {
        "stem.weight": "stem/kernel",
        "norm.weight": "norm/gamma",
        "branch.bias": "branch/bias",
        "head.weight": "head/kernel",
    }
    by_path = {weight.path: weight.gradient_norm for weight in probe.weights}
    for torch_name, path in names.items():
        assert by_path[path] == pytest.approx(gradients[torch_name], rel=1e-4), path


def test_the_gradients_along_the_edges_of_a_fork_sum_to_that_of_the_fork() -> None:
    x = Input((2,), name="x")
    fork = layers.Dense(2, kernel_initializer="identity", name="fork")(x)
    left, right = layers.Rescaling(3.0, name="left")(fork), layers.Rescaling(-1.0, name="right")(fork)
    model = Model(x, layers.Add(name="join")([left, right]))
    model.compile("sgd", loss="mse")
    probe = model.probe(np.ones((1, 2)), np.zeros((1, 2)))
    edges = probe.edge_values()
    base = edges["left", "join", 0]
    assert base > 0
    assert edges["fork", "left", 0] == pytest.approx(3 * base)
    assert edges["fork", "right", 0] == pytest.approx(base)
    assert probe.values("gradient_norm")["fork"] == pytest.approx(2 * base)  # 3 - 1


def test_a_forward_pass_has_no_gradients_and_needs_no_compile() -> None:
    x = Input((3,))
    model = Model(x, layers.Dense(2, name="head")(x))
    probe = model.probe(np.ones((2, 3)))
    assert probe.loss is None
    assert not probe.training
    assert probe.values("gradient_norm") == {}
    assert list(probe.values()) == ["input_layer", "head"]
    assert probe.values("activation_mean")["input_layer"] == 1.0
    with pytest.raises(NotReadyError, match="probe with y needs a compiled model"):
        model.probe(np.ones((2, 3)), np.ones((2, 2)))


def test_nothing_of_the_model_changes() -> None:
    class Remembers(layers.Layer):
        def call(self, x: Any) -> Any:
            self.last = x
            self.add_loss(x.square().mean())
            return x

    remembers = Remembers(name="remembers")
    remembers.last = "before"
    x = Input((8, 8, 3))
    inner = residual(0.5, seed=3)
    model = Model(x, layers.Dropout(0.3)(remembers(inner(x))))
    model.compile("adam", loss="mse", metrics=["mae"])
    ab.utils.set_random_seed(1)
    model.fit(X, Y, epochs=1, verbose=0)
    before = [weight.copy() for weight in model.get_weights()]
    metrics = {name: float(value) for name, value in model.get_metrics_result().items()}
    held, last = remembers._held_losses_, remembers.last
    model.zero_grad()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    probe = model.probe(X, Y)
    assert probe.training
    assert len(probe.rows) > 10
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()
    assert {name: float(value) for name, value in model.get_metrics_result().items()} == metrics
    assert remembers._held_losses_ is held
    assert remembers.last is last
    assert all(weight.value.grad is None for weight in model.trainable_weights)
    again = model.probe(X, Y)
    assert again.rows == probe.rows  # dropout drew the same, from the layer's own generator too


@pytest.mark.parametrize("seed", [None, 3])
def test_training_goes_as_if_nobody_had_probed(seed: int | None) -> None:
    def losses(probe: bool) -> list[float]:
        ab.utils.set_random_seed(1)
        model = residual(0.5, seed)
        if probe:
            model.probe(X, Y)
        return model.fit(X, Y, epochs=2, verbose=0).history["loss"]

    assert losses(True) == losses(False)


def test_losses_that_layers_add_and_regularizers_count() -> None:
    x = Input((3,))
    head = layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1", name="head")
    model = Model(x, head(x))
    model.compile("sgd", loss="mse")
    x, y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))
    assert model.probe(x, y).loss == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    weights = RNG.uniform(size=4)
    assert model.probe(x, y, weights).loss == pytest.approx(model.evaluate(x, y, sample_weight=weights, verbose=0), rel=1e-5)


def test_calls_of_shared_layers_and_nested_models_have_ids_of_their_own() -> None:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = layers.Dense(3, name="shared")
    i = Input((3,), name="i")
    tower = Model(i, layers.Dense(2, name="last")(shared(shared(i))), name="tower")
    model = Model([a, b], layers.Concatenate(name="both")([tower(a), tower(b)]))
    probe = model.probe([np.ones((2, 3)), np.zeros((2, 3))])
    assert [row.id for row in probe.rows] == [
        "a", "b", "tower@0/shared@0", "tower@0/shared@1", "tower@0/last",
        "tower@1/shared@0", "tower@1/shared@1", "tower@1/last", "both",
    ]  # fmt: skip
    assert ("tower@1/last", "both", 1) in {(edge.source, edge.target, edge.input) for edge in probe.edges}
    assert ("b", "tower@1/shared@0", 0) in {(edge.source, edge.target, edge.input) for edge in probe.edges}


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    x = Input((3,), name="x")
    model = Model(x, layers.ReLU(name="relu")(x))
    probe = model.probe(np.array([[1.0, np.nan, np.inf], [2.0, 3.0, -np.inf]]))
    first = probe.rows[0]
    assert (first.non_finite, first.activation_mean, first.min, first.max) == (3, 2.0, 1.0, 3.0)
    assert json.loads(probe.to_json())["rows"][0]["id"] == "x"
    x = Input((1,), name="x")
    blown = Model(x, layers.Lambda(lambda value: value * np.inf, name="blown")(x)).probe([[1.0]])
    assert blown.rows[1][3:9] == (None, None, 0.0, None, None, 1)


def test_the_first_batch_of_a_source() -> None:
    model = residual()
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    probe = model.probe(torch.utils.data.DataLoader(data, batch_size=2))
    assert probe.rows[0].shapes == ((2, 8, 8, 3),)
    assert probe.loss == pytest.approx(model.probe(X[:2], Y[:2]).loss)


@pytest.mark.parametrize(
    "wrong", [None, X[..., :2], [X, X], "images", {"picture": X}, X[:, :, :, 0, None].astype(object)], ids=range(6)
)
def test_wrong_data_are_refused_as_in_predict(wrong: Any) -> None:
    model = residual()
    with pytest.raises(AnabranchError) as known:
        model.predict(wrong, verbose=0)
    with pytest.raises(AnabranchError) as error:
        model.probe(wrong)
    assert type(error.value) is type(known.value)
    assert str(error.value) == str(known.value).replace("predict of model", "probe of model")


def test_wrong_targets_and_metrics() -> None:
    model = residual()
    with pytest.raises(AnabranchError):
        model.probe(X, Y[:2])
    probe = model.probe(X)
    with pytest.raises(ArgumentError, match="A probe has no 'mean'"):
        probe.values("mean")
    assert str(probe).splitlines()[1].split()[:3] == ["call", "mean", "std"]
    assert len(str(probe).splitlines()) == 2 + len(probe.rows)


def test_a_model_with_a_call_and_a_loss_of_its_own() -> None:
    class Own(Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.head(x)

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            return 3 * (y_pred - y).square().mean()

    model = Own()
    model.compile("sgd")
    x, y = RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=(4, 2)).astype("float32")
    probe = model.probe(x, y)
    predicted = torch.as_tensor(model.predict(x, verbose=0), device=here())
    assert probe.loss == pytest.approx(3 * (predicted - on_device(y)).square().mean().item(), rel=1e-4)
    assert all(weight.gradient_norm for weight in probe.weights)
