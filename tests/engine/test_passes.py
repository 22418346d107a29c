"""Each rewriting of the flat code: what it does where, and that no result moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from random_graphs import build, sketch_of

from anabranch import Input, Model, config, engine, layers, ops, utils
from anabranch.engine import passes
from anabranch.engine.lower import lower
from anabranch.engine.program import Form

BATCH = 3


def chain(shape: tuple[int | None, ...], *steps: Any) -> Model:
    """Return the model that runs layers one after the other."""
    x = inputs = Input(shape)
    for step in steps:
        x = step(x)
    return Model(inputs, x)


def drawn(model: Model, batch: int = BATCH) -> list[torch.Tensor]:
    """Return data for a model, and draw all its weights, statistics too."""
    utils.set_random_seed(1)
    for weight in model.weights:
        values = np.random.default_rng(len(weight.path)).normal(0.1, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return [torch.randn(batch, *tensor.shape[1:]) for tensor in model.inputs]


def residual() -> Model:
    inputs = Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.add([y, x]))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="gelu")(x)
    return Model(inputs, layers.Dense(4, activation="tanh")(layers.GlobalAveragePooling2D()(x)))


def doubled() -> Model:
    inputs = Input((5,))
    shared = layers.Dense(4, activation="sigmoid")
    return Model(inputs, [shared(inputs) + shared(inputs), shared(inputs) * 1])


def dense_after() -> Model:
    return chain((6,), layers.Dense(5, use_bias=False), layers.BatchNormalization(scale=False), layers.ELU(), layers.Dense(3))


def transposed() -> Model:
    norm = layers.BatchNormalization
    return chain((5, 5, 2), layers.Conv2DTranspose(4, 3, strides=2), norm(), layers.LeakyReLU(), layers.Conv2D(2, 1), norm())


def channels_first() -> Model:
    conv = layers.Conv2D(4, 3, padding="same", data_format="channels_first", activation="silu")
    return chain((2, 6, 6), conv, layers.Permute((2, 3, 1)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten())


def branching() -> Model:
    inputs = Input((6, 6, 2))
    a = layers.Conv2D(3, 1, activation="relu")(inputs)
    b = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(inputs)
    joined = layers.Concatenate()([a, layers.Conv2D(3, 1)(b)])
    gate = layers.Conv2D(6, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(joined))
    x = layers.Dropout(0.0)(layers.Multiply()([joined, gate]))
    return Model(
        inputs, {"pooled": layers.MaxPooling2D(2)(x), "mean": ops.mean(x, axis=(1, 2)), "whole": ops.relu(x - a[..., :1])}
    )


def along_time() -> Model:
    norm = layers.BatchNormalization
    return chain((9, 4), layers.Conv1D(5, 3), norm(), layers.ReLU(), layers.SeparableConv1D(4, 3), layers.Conv1D(2, 1), norm())


def in_space() -> Model:
    return chain((4, 4, 4, 2), layers.Conv3D(3, 2), layers.BatchNormalization(), layers.ReLU(6.0), layers.Conv3D(2, 1))


MODELS: list[Callable[[], Model]] = [
    residual, doubled, dense_after, transposed, channels_first, branching, along_time, in_space,
]  # fmt: skip


def settings(training: bool) -> list[passes.Setting]:
    if training:
        return [passes.Setting(True)]
    return [passes.Setting(False), passes.Setting(False, frozen=True), passes.Setting(False, frozen=True, single=True)]


def results(run: Callable[..., Any], inputs: list[torch.Tensor], model: Model, setting: passes.Setting) -> list[torch.Tensor]:
    """Return outputs, gradients of inputs and weights where they are asked for, and the weights' state after."""
    before = model.get_weights()
    given = [x.clone().requires_grad_(x.is_floating_point() and not setting.frozen) for x in inputs]
    torch.manual_seed(0)
    with torch.set_grad_enabled(not setting.frozen):
        values = list(run(given))
    found = [value.detach().clone() for value in values]
    if not setting.frozen:
        learning = [w.value for w in model.trainable_weights] + [x for x in given if x.requires_grad]
        sums = [value.double().square().sum() for value in values if value.requires_grad]
        if sums and learning:
            gradients = torch.autograd.grad(sum(sums), learning, allow_unused=True)
            found += [torch.zeros(()) if gradient is None else gradient for gradient in gradients]
    found += [torch.as_tensor(weight) for weight in model.get_weights()]
    model.set_weights(before)
    return found


def unchanged(model: Model, inputs: list[torch.Tensor], setting: passes.Setting, chosen: tuple[passes.Pass, ...]) -> None:
    """Hold the rewritten code to the recorded one."""
    engine.place_weights(model)
    lowered = lower(model.graph, training=setting.training)
    recorded = lowered.module()
    expected = results(lambda given: recorded(*given), inputs, model, setting)
    form = Form(lowered, setting, chosen)
    found = results(form, inputs, model, setting)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        scale = max(1.0, float(b.double().abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, atol=2e-5 * scale, rtol=2e-5, equal_nan=True)


EACH = [(each.name, (each,)) for each in passes.PASSES] + [("all", passes.PASSES)]


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("chosen", [pytest.param(chosen, id=name) for name, chosen in EACH])
@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in MODELS])
def test_each_pass_leaves_results_unchanged(make: Callable[[], Model], chosen: tuple[passes.Pass, ...], training: bool) -> None:
    model = make()
    for setting in settings(training):
        inputs = drawn(model, 1 if setting.single else BATCH)
        unchanged(model, inputs, setting, chosen)


@pytest.mark.parametrize("number", range(60))
def test_all_passes_leave_random_graphs_unchanged(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sketch = sketch_of(4 + number % 17, 1000 + number)
    monkeypatch.setattr(config, "_floatx", sketch.floatx)
    utils.set_random_seed(0)
    model = build(sketch).model
    dtypes = [getattr(torch, tensor.dtype) for tensor in model.inputs]
    specs = zip(model.inputs, dtypes, strict=True)
    inputs = [(2 * torch.rand(BATCH, *(size or 4 for size in t.shape[1:]))).to(dtype) for t, dtype in specs]
    for setting in (*settings(False), *settings(True)):
        unchanged(model, inputs, setting, passes.PASSES)


# What is done where


def done(model: Model, name: str, **setting: Any) -> dict[str, str]:
    return {note.path: note.text for note in model.explain_execution(**setting)[name].done}


def refused(model: Model, name: str, **setting: Any) -> dict[str, str]:
    return {note.path: note.text for note in model.explain_execution(**setting)[name].refused}


def test_between_convolutions_nothing_is_permuted() -> None:
    model = residual()
    for setting in ({"training": True}, {"training": False}):
        code = model.explain_execution(**setting).code
        assert code.count("permute(") == 1, "the images alone"


def test_normalizations_become_part_of_convolutions_and_dense_layers() -> None:
    assert "batch_norm" not in residual().explain_execution().code
    assert "batch_norm" not in dense_after().explain_execution().code
    assert "batch_norm" in residual().explain_execution(gradients=True).code
    alone = chain((4, 4, 2), layers.ReLU(), layers.BatchNormalization())
    assert refused(alone, "batch_norm") == {"batch_normalization": "no convolution or dense layer stands right before it"}


def test_a_normalization_whose_convolution_is_needed_elsewhere_stays() -> None:
    inputs = Input((4, 4, 2))
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    model = Model(inputs, [layers.BatchNormalization()(x), x])
    assert list(refused(model, "batch_norm").values()) == ["the result of conv is needed elsewhere too"]
    inputs = drawn(model)
    unchanged(model, inputs, passes.Setting(False, frozen=True), passes.PASSES)


@pytest.mark.parametrize(
    "activation", ["relu", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_silu", "relu6", "leaky_relu", "gelu"]
)
def test_activations_become_part_of_convolutions(activation: str) -> None:
    model = chain((7, 7, 3), layers.Conv2D(5, 3, activation=activation, name="conv"))
    assert done(model, "fusion") == {"conv": "with the activation"}
    unchanged(model, drawn(model), passes.Setting(False, frozen=True), passes.PASSES)


def test_sums_become_part_of_convolutions() -> None:
    model = residual()
    assert "the sum add and the activation" in done(model, "fusion")["conv2d_1"]
    assert "_convolution_pointwise.binary" in model.explain_execution().code


def test_a_large_dense_layer_takes_its_activation_and_a_small_one_does_not() -> None:
    model = chain((512,), layers.Dense(512, activation="relu", name="large"), layers.Dense(3, activation="relu", name="small"))
    assert done(model, "fusion") == {"large": "with the activation"}
    assert refused(model, "fusion") == {"small": "small: the plain call is faster"}
    unchanged(model, drawn(model), passes.Setting(False, frozen=True), passes.PASSES)


def test_batches_of_one_are_not_fused() -> None:
    model = residual()
    assert "mkldnn" in model.explain_execution().code
    assert "mkldnn" not in model.explain_execution(single=True).code
    assert "batches of one" in refused(model, "fusion", single=True)[""]


def test_an_activation_whose_input_is_needed_elsewhere_is_not_in_place() -> None:
    inputs = Input((3,))
    x = layers.Dense(3, name="dense")(inputs)
    model = Model(inputs, [layers.ReLU(name="relu")(x), x])
    assert refused(model, "in_place", training=True) == {"relu": "its input is needed elsewhere too"}


def test_inputs_are_never_overwritten() -> None:
    model = chain((3,), layers.ReLU(), layers.ELU(), layers.Identity())
    x = torch.randn(4, 3)
    before = x.clone()
    model.predict(x, verbose=0)
    with torch.no_grad():
        model(x)
        model(x, training=True)
    model(x)
    assert torch.equal(x, before)


def test_integers_keep_their_type() -> None:
    inputs = Input((3,), dtype="int32")
    model = Model(inputs, ops.sigmoid(inputs + inputs))
    with torch.no_grad():
        assert model(torch.ones(2, 3, dtype=torch.int32)).dtype == torch.float32


def test_what_is_computed_twice_is_computed_once() -> None:
    model = doubled()
    assert model.explain_execution(training=True).code.count("linear(") == 1
    assert (
        chain((4, 4, 3), layers.Dropout(0.5), layers.Dropout(0.5)).explain_execution(training=True).code.count("dropout(") == 2
    )


def retrain(model: Model, x: torch.Tensor, optimizer: str) -> None:
    model.compile(optimizer, "mse")
    model.fit(x, torch.ones(len(x), 4), verbose=0)


def test_what_follows_from_weights_alone_follows_their_changes() -> None:
    model = residual()
    (x,) = drawn(model)
    model.compile("sgd", "mse")
    first = model.predict(x, verbose=0)
    form = engine.program(model, False).form(frozen=True)
    assert form.computed
    held = form._constants.values()
    assert np.array_equal(model.predict(x, verbose=0), first)
    assert form._constants.values() is held, "nothing changed, so nothing is computed again"
    for change in (
        lambda: model.fit(x, torch.ones(len(x), 4), verbose=0),
        lambda: model.layers[1].set_weights([2 * w for w in model.layers[1].get_weights()]),
        lambda: model.get_layer("batch_normalization").moving_mean.assign_add(np.ones(8)),
        lambda: model.layers[1].kernel.value.data.neg_(),
        lambda: setattr(model.layers[1].bias.value, "data", torch.ones(8)),
        lambda: retrain(model, x, "adam"),
        lambda: retrain(model, x, "rmsprop"),
    ):
        change()
        with torch.enable_grad():
            expected = model(x).detach()
        found = torch.as_tensor(model.predict(x, verbose=0))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_weights_and_inputs_outside_of_predict() -> None:
    model = residual()
    (x,) = drawn(model)
    with torch.no_grad():
        model(x)
    x.requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert all(weight.value.grad is not None for weight in model.trainable_weights)


def test_the_explanation_is_a_text(golden: Callable[[str, str], None]) -> None:
    golden("explain_execution", str(residual().explain_execution()))
