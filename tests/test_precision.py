"""Precision policies: what is computed in which type, near what float32 gives, as in real Keras; and loss scaling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, on_device
from every_layer import CASES, Case
from test_every_layer import build, draw, flat

import anabranch as ab
from anabranch import Input, Model, config, dtype_policies, layers, mixed_precision, optimizers
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.config import precision

EPSILON = {"bfloat16": 2**-8, "float16": 2**-11}
MIXED = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(autouse=True)
def own_policy() -> Iterator[None]:
    before = precision._policy
    yield
    precision._policy = before


# Policies


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", *MIXED])
def test_policies_are_kerass(keras: Any, name: str) -> None:
    ours, theirs = ab.DTypePolicy(name), keras.dtype_policies.DTypePolicy(name)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert ours.get_config() == theirs.get_config()
    assert repr(ours) == repr(theirs)
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.get(dtype_policies.serialize(ours)) == dtype_policies.get(name) == ours


def test_the_global_policy() -> None:
    assert config.dtype_policy().name == "float32"
    mixed_precision.set_global_policy("mixed_bfloat16")
    assert mixed_precision.global_policy() == mixed_precision.Policy("mixed_bfloat16")
    layer = layers.Dense(2)
    assert (layer.dtype, layer.variable_dtype, layer.compute_dtype) == ("float32", "float32", "bfloat16")
    assert layers.Dense(2, dtype="float32").compute_dtype == "float32"
    assert layer.get_config()["dtype"]["config"] == {"name": "mixed_bfloat16"}
    assert layers.Dense.from_config(layer.get_config()).dtype_policy == layer.dtype_policy
    x = Input((3,))
    assert (x.dtype, layer(x).dtype) == ("float32", "bfloat16")


def test_a_policy_is_no_reason_to_load_torch() -> None:
    code = (
        "import sys, anabranch as ab; ab.config.set_dtype_policy('mixed_float16'); x = ab.Input((8, 8, 3));"
        "y = ab.layers.Dense(2)(ab.layers.Conv2D(2, 3)(x)); assert y.dtype == 'float16'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("wrong", ["mixed_float8", "float33", ""])
def test_an_unknown_policy_is_reported_with_the_known_ones(wrong: str) -> None:
    for use in (lambda: config.set_dtype_policy(wrong), lambda: layers.Dense(2, dtype=wrong or "mixed_")):
        with pytest.raises(ArgumentError, match="mixed_bfloat16"):
            use()


@pytest.mark.parametrize("wrong", [3, ["float32"], object()], ids=["number", "list", "object"])
def test_what_is_no_policy(wrong: Any) -> None:
    for use in (lambda: config.set_dtype_policy(wrong), lambda: dtype_policies.get(wrong)):
        with pytest.raises(ArgumentTypeError):
            use()


# Layers

FLOAT = [
    pytest.param(case, id=case.name)
    for case in CASES
    if case.other_dtypes and not case.random and "float" in case.dtype and case.make != "InputLayer"
]


def results(case: Case, policy: str) -> list[torch.Tensor]:
    ab.utils.set_random_seed(5)
    config.set_dtype_policy(policy)
    _, model = build(case)
    with torch.no_grad():
        plain = [x.detach() for x in flat(model(draw(case)))]
    grad = [x.detach() for x in flat(model(draw(case)))]
    for a, b in zip(plain, grad, strict=True):
        torch.testing.assert_close(a, b, atol=1e-1, rtol=1e-1)
    return plain


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("case", FLOAT)
def test_every_layer_computes_in_fewer_bits_near_float32(case: Case, policy: str) -> None:
    if "dtype" in case.config:
        pytest.skip("the case chooses a type of its own")
    expected, found = results(case, "float32"), results(case, policy)
    kind = ab.DTypePolicy(policy).compute_dtype
    for a, b in zip(found, expected, strict=True):
        if b.dtype == torch.float32:
            assert a.dtype == getattr(torch, kind)
            scale = float(b.abs().max()) + 1e-3
            assert float((a.float() - b).abs().max()) <= 24 * EPSILON[kind] * scale


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.dtype == "string"])
def test_layers_of_strings_find_the_same_in_fewer_bits(case: Case, policy: str) -> None:
    words = np.array([["a"], ["b"], ["c"]])
    given = (words, words) if case.make == "HashedCrossing" else words
    mode = "multi_hot" if case.make == "TextVectorization" else "one_hot"  # numbers of bins and words are integers in any case
    expected, found = (
        getattr(layers, case.make)(dtype=kind, output_mode=mode, **case.config)(given) for kind in ("float32", policy)
    )
    assert found.dtype == getattr(torch, ab.DTypePolicy(policy).compute_dtype)
    assert torch.equal(found.float(), expected)
    assert expected.any()


WITH_KERAS = [
    ("Dense", {"units": 4, "activation": "gelu"}, (6,)),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "padding": "same"}, (7, 7, 2)),
    ("DepthwiseConv2D", {"kernel_size": 3}, (7, 7, 2)), ("SeparableConv2D", {"filters": 3, "kernel_size": 3}, (7, 7, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, (5, 5, 2)), ("BatchNormalization", {}, (6, 6, 3)),
    ("LayerNormalization", {}, (6, 5)), ("GroupNormalization", {"groups": 2}, (6, 4)), ("MaxPooling2D", {}, (6, 6, 2)),
    ("GlobalAveragePooling2D", {}, (6, 6, 2)), ("Softmax", {}, (9,)), ("ReLU", {"max_value": 2.0}, (9,)), ("PReLU", {}, (4,)),
]  # fmt: skip


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize(("name", "options", "shape"), WITH_KERAS, ids=[row[0] for row in WITH_KERAS])
def test_layers_equal_keras_under_a_policy(keras: Any, name: str, options: Any, shape: Any, policy: str) -> None:
    ours, theirs = getattr(layers, name)(dtype=policy, **options), getattr(keras.layers, name)(dtype=policy, **options)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    ours.build((None, *shape))
    theirs.build((None, *shape))
    rng = np.random.default_rng(1)
    weights = [np.abs(rng.normal(size=w.shape)).astype("float32") for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    found, expected = ours(x), keras.ops.convert_to_tensor(theirs(x))
    assert found.dtype == expected.dtype
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    kind = ab.DTypePolicy(policy).compute_dtype
    error = (found.float().cpu() - expected.float().cpu()).abs().max()
    assert float(error.detach()) <= 4 * EPSILON[kind] * float(expected.detach().float().abs().max())


def net(policy: str | None = None) -> Model:
    ab.utils.set_random_seed(7)
    if policy:
        config.set_dtype_policy(policy)
    inputs = Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.add([x, layers.Conv2D(8, 1, activation="relu")(x)])
    return Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 96)
    return (rng.normal(size=(96, 8, 8, 3)) + y[:, None, None, None]).astype("float32"), y


def trained(policy: str, **options: Any) -> tuple[Model, dict[str, list[float]]]:
    model = net(policy)
    loss = ab.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(0.01), loss, metrics=["acc"], **options)
    return model, model.fit(*data(), batch_size=32, epochs=6, verbose=0, shuffle=False).history


@pytest.mark.parametrize("policy", MIXED)
def test_training_reaches_what_float32_reaches(policy: str) -> None:
    model, history = trained(policy)
    _, expected = trained("float32")
    assert all(w.dtype == "float32" and w.value.dtype == torch.float32 for w in model.weights)
    assert history["loss"][-1] == pytest.approx(expected["loss"][-1], abs=0.05)
    assert history["acc"][-1] >= 0.95


@pytest.mark.on_cpu  # where weights are constants of predict
def test_weights_are_cast_once_a_call_and_beforehand_where_they_are_constants() -> None:
    model = net("mixed_bfloat16")
    code = model.explain_execution(training=True).code
    assert code.count("conv2d_weight_.to(") == 1
    assert "weight_.to(" not in model.explain_execution().code


def test_one_layer_may_keep_float32_beside_others() -> None:
    config.set_dtype_policy("mixed_bfloat16")
    inputs = Input((4,))
    x = layers.Dense(3)(inputs)
    model = Model(inputs, layers.Dense(2, dtype="float32")(x))
    assert (x.dtype, model.outputs[0].dtype) == ("bfloat16", "float32")
    assert model(torch.ones(2, 4)).dtype == torch.float32


def test_weights_assigned_inside_a_call_change() -> None:
    class Counting(layers.Layer):
        def build(self, shape: Any) -> None:
            self.total = self.add_weight((), "zeros", trainable=False, name="total")

        def call(self, x: Any) -> Any:
            self.total.assign_add(1.0)
            return x * 2

    layer = Counting(dtype="mixed_bfloat16")
    assert layer(torch.ones(2, 2)).dtype == torch.bfloat16
    assert float(layer.total.numpy()) == 1.0


# Loss scaling


def test_float16_scales_its_loss_unasked_and_others_do_not() -> None:
    assert isinstance(trained("mixed_float16")[0].optimizer, mixed_precision.LossScaleOptimizer)
    assert isinstance(trained("mixed_bfloat16")[0].optimizer, optimizers.Adam)
    assert isinstance(trained("mixed_float16", auto_scale_loss=False)[0].optimizer, optimizers.Adam)


class Scaled:
    """A weight under a scaling optimizer; on the host, or with the choice made as on a device."""

    def __init__(self, inner: Any, *, on_device: bool, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.optimizer = optimizers.LossScaleOptimizer(inner, **options)
        if on_device:
            monkeypatch.setattr(optimizers.LossScaleOptimizer, "_chosen_on_host", lambda self: False)
        layer = layers.Dense(2)
        layer.build((None, 3))
        self.weight = layer.kernel
        self.weight.assign(np.ones((3, 2)))
        self.optimizer.build([self.weight])

    def step(self, factor: float) -> None:
        self.optimizer.zero_grad()
        self.optimizer.scale_loss(self.weight.value.sum() * factor).backward()
        self.optimizer.step()


@pytest.mark.parametrize("on_device", [False, True], ids=["on the host", "on the device"])
@pytest.mark.parametrize("make", [lambda: optimizers.SGD(0.1, momentum=0.9), lambda: optimizers.Adam(0.1)], ids=["sgd", "adam"])
def test_steps_that_overflow_change_nothing_and_halve_the_scale(
    make: Any, on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled = Scaled(make(), on_device=on_device, monkeypatch=monkeypatch, initial_scale=8.0, dynamic_growth_steps=3)
    plain = Scaled(make(), on_device=False, monkeypatch=monkeypatch, initial_scale=1.0)
    for factor in (float("inf"), 2.0, float("nan"), 3.0, 1.0):
        before = scaled.weight.numpy()
        scaled.step(factor)
        if np.isfinite(factor):
            plain.step(factor)
        else:
            assert np.array_equal(scaled.weight.numpy(), before)
    if not on_device or isinstance(plain.optimizer.inner_optimizer, optimizers.SGD):  # Adam's corrections count steps
        np.testing.assert_allclose(scaled.weight.numpy(), plain.weight.numpy(), rtol=1e-6)
    assert scaled.optimizer.dynamic_scale == 2.0
    scaled.step(1.0)
    assert scaled.optimizer.dynamic_scale == 4.0, "three finite steps in a row"
    assert np.isfinite(scaled.weight.numpy()).all()


def test_the_scale_moves_as_keras_moves_it(keras: Any) -> None:
    scaler = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=4.0, dynamic_growth_steps=2)
    variable = keras.Variable(np.ones(3, "float32"))
    scaler.build([variable])
    layer = layers.Dense(1)
    layer.build((None, 3))
    ours = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=4.0, dynamic_growth_steps=2)
    ours.build([layer.kernel])
    for value in (1.0, 1.0, np.inf, 1.0, 1.0, 1.0):
        scaler.apply([torch.full((3,), value)], [variable])
        layer.kernel.value.grad = on_device(torch.full((1, 3), value))
        ours.step()
        assert ours.dynamic_scale == float(scaler.dynamic_scale)
        if here().type == "cpu":  # elsewhere the host does not wait for the answer, and counts
            assert ours.iterations == int(scaler.inner_optimizer.iterations)


def test_scaling_goes_into_config_and_state() -> None:
    optimizer = optimizers.LossScaleOptimizer(optimizers.Adam(0.5), initial_scale=4.0, dynamic_growth_steps=7)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.learning_rate, again.initial_scale) == (0.5, 4.0)
    layer = layers.Dense(1)
    layer.build((None, 1))
    for each in (optimizer, again):
        each.build([layer.kernel])
    layer.kernel.value.grad = on_device(torch.full((1, 1), float("nan")))
    optimizer.step()
    again.load_state_dict(optimizer.state_dict())
    assert again.dynamic_scale == 2.0


@pytest.mark.parametrize(
    "wrong", [{"inner_optimizer": "adam"}, {"inner_optimizer": optimizers.Adam(), "initial_scale": 0}], ids=["name", "zero"]
)
def test_mistakes_in_scaling(wrong: dict[str, Any]) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        optimizers.LossScaleOptimizer(**wrong)


# TF32


def test_tf32_is_set_and_put_back() -> None:
    own = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert config.tf32() is None
    model = net("float32")
    try:
        for allowed in (True, False):
            config.set_tf32(allowed)
            model(torch.ones(1, 8, 8, 3))
            assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (allowed, allowed)
    finally:
        config.set_tf32(None)
        model(torch.ones(1, 8, 8, 3))
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == own
    with pytest.raises(ArgumentTypeError):
        config.set_tf32("yes")  # type: ignore[arg-type]  # the mistake
