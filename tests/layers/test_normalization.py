"""Normalizations beside real Keras: every axis and rank, the moving statistics, frozen layers, and what lowering keeps."""

from __future__ import annotations

import copy
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device
from parity import assert_same_as_keras, draw_weights

import anabranch as ab
from anabranch import Input, Model, layers, optimizers, runtime
from anabranch._errors import ArgumentError, ShapeError

SHAPES = ((6, 3), (4, 5, 3), (3, 4, 5, 2), (2, 3, 4, 2, 3))


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("shape", "axis"), [(shape, axis) for shape in SHAPES for axis in (-1, *range(1, len(shape)))])
def test_batch_normalization_equals_keras(keras: Any, shape: tuple[int, ...], axis: int, training: bool) -> None:
    assert_same_as_keras(keras, "BatchNormalization", shape, training=training, axis=axis, momentum=0.7)


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 5), (4, 3, 2, 5)])
@pytest.mark.parametrize("training", [False, True])
def test_channels_along_the_first_axis(keras: Any, shape: tuple[int, ...], training: bool) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    ours, theirs = (library.layers.BatchNormalization(axis=0) for library in (ab, keras))
    assert np.allclose(ours(x, training=training).detach().cpu(), theirs(x, training=training).detach().numpy(), atol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(
    "config", [{"center": False}, {"scale": False}, {"center": False, "scale": False}, {"momentum": 0.0}, {"epsilon": 0.3}]
)
def test_options_of_batch_normalization(keras: Any, config: dict[str, Any], training: bool) -> None:
    assert_same_as_keras(keras, "BatchNormalization", (4, 3, 5, 2), training=training, **config)
    assert_same_as_keras(keras, "BatchNormalization", (4, 3, 5, 2), training=training, unknown=(1, 2), **config)


def test_frozen_layer_keeps_its_statistics(keras: Any) -> None:
    assert_same_as_keras(keras, "BatchNormalization", (4, 5, 3), training=True, trainable=False)


def test_freezing_and_unfreezing_change_the_program() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, (64, 4)).astype("float32")
    symbol = Input((4,))
    layer = layers.BatchNormalization(momentum=0.5)
    model = Model(symbol, layer(symbol))
    layer.trainable = False
    assert np.allclose(model(x, training=True), x / np.sqrt(1.001), atol=1e-5)
    assert np.array_equal(layer.moving_mean.numpy(), np.zeros(4))
    layer.trainable = True
    assert np.allclose(model(x, training=True).detach().mean(0), 0, atol=1e-5)
    assert np.allclose(layer.moving_mean.numpy(), x.mean(0) / 2, atol=1e-5)
    assert np.allclose(layer.moving_variance.numpy(), (1 + x.var(0)) / 2, atol=1e-5)


def test_statistics_far_from_zero_and_almost_constant() -> None:
    rng = np.random.default_rng(0)
    for mean, deviation in ((100.0, 0.1), (0.0, 1e-4), (-5.0, 0.0)):
        x = rng.normal(mean, deviation, (256, 3)).astype("float32")
        layer = layers.BatchNormalization(momentum=0.0)
        layer(x, training=True)
        assert np.allclose(layer.moving_mean.numpy(), x.mean(0, dtype="float64"), rtol=1e-6)
        assert np.allclose(layer.moving_variance.numpy(), x.var(0, dtype="float64"), rtol=1e-3, atol=1e-9)


def test_one_sample() -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    result = layer(np.full((1, 3), 7.0, "float32"), training=True)
    assert np.allclose(result.detach(), 0.0, atol=1e-5)
    assert np.allclose(layer.moving_variance.numpy(), 0.5)


def test_shared_layer_moves_its_statistics_at_each_call_and_is_differentiable() -> None:
    a, b = Input((3,)), Input((3,))
    layer = layers.BatchNormalization(momentum=0.5)
    model = Model([a, b], [layer(a), layer(b)])
    x, y = np.full((4, 3), 1.0, "float32"), np.full((4, 3), 5.0, "float32")
    first, second = model([x, y], training=True)
    (first.sum() + second.sum()).backward()
    assert np.allclose(layer.moving_mean.numpy(), (0.5 * 1.0) / 2 + 5.0 / 2)
    assert layer.gamma.value.grad is not None


def test_the_update_is_part_of_the_lowered_code() -> None:
    symbol = Input((4, 4, 3))
    model = Model(symbol, layers.BatchNormalization(momentum=0.5)(layers.Conv2D(2, 3, use_bias=False)(symbol)))
    module = copy.deepcopy(model.to_torch()).train()
    assert "anabranch" not in module.code
    assert isinstance(module.batch_normalization, torch.nn.BatchNorm2d)
    assert module.code.count("lerp_(") == 2
    x = on_device(torch.randn(8, 4, 4, 3))
    before = module.batch_normalization.running_mean.clone()
    module(x).sum().backward()
    assert not equal(before, module.batch_normalization.running_mean)
    assert not equal(model.get_layer("batch_normalization").moving_mean.value, module.batch_normalization.running_mean)
    module.eval()
    assert equal(module(x), module(x))


def test_the_update_outlives_the_removal_of_dead_code() -> None:
    from anabranch.engine import program

    symbol = Input((3,))
    model = Model(symbol, layers.BatchNormalization()(symbol))
    module: Any = program(model, training=True).module
    module.graph.eliminate_dead_code()
    module.recompile()
    assert module.code.count("lerp_.Scalar") == 2


def test_gradients_of_batch_normalization_are_the_derivatives() -> None:
    layer = layers.BatchNormalization(dtype="float64")
    symbol = Input((2, 3, 2), dtype="float64")
    model = Model(symbol, layer(symbol))
    x = torch.randn(3, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: model(x, training=True), (x,))


# Within each sample


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("axis", [-1, [-1], [-2, -1], [-1, -2]])
def test_layer_normalization_equals_keras(keras: Any, shape: tuple[int, ...], axis: Any) -> None:
    assert_same_as_keras(keras, "LayerNormalization", shape, axis=axis)
    assert_same_as_keras(keras, "LayerNormalization", shape, axis=axis, epsilon=0.2, center=False)
    assert_same_as_keras(keras, "LayerNormalization", shape, axis=axis, scale=False)


@pytest.mark.parametrize(("shape", "axis"), [((2, 4, 0), -1), ((3, 0, 5), [1, 2]), ((0, 4, 3), -1)])
@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization"])
def test_empty_axes_are_normalized(keras: Any, name: str, shape: tuple[int, ...], axis: Any) -> None:
    assert_same_as_keras(keras, name, shape, axis=axis)


def test_layer_normalization_over_inner_axes() -> None:
    # no parity here: Keras 3.15.1 on torch raises
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    for axes in (1, [1], [1, 2], [1, 3]):
        layer = layers.LayerNormalization(axis=axes)
        layer.build((None, 3, 4, 5))
        draw_weights(layer)
        over = (axes,) if isinstance(axes, int) else tuple(axes)
        spread = [x.shape[axis] if axis in over else 1 for axis in range(4)]
        gamma, beta = (weight.reshape(spread) for weight in layer.get_weights())
        mean, variance = x.mean(over, keepdims=True), x.var(over, keepdims=True)
        assert np.allclose(layer(x).detach(), gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, atol=1e-5)


@pytest.mark.parametrize(("shape", "axis"), [((4, 6), -1), ((2, 5, 6), -1), ((2, 3, 4, 6), -1), ((2, 6, 4, 3), 1)])
@pytest.mark.parametrize("groups", [1, 2, 6, -1])
def test_group_normalization_equals_keras(keras: Any, shape: tuple[int, ...], axis: int, groups: int) -> None:
    assert_same_as_keras(keras, "GroupNormalization", shape, axis=axis, groups=groups, tolerance=2e-5)


@pytest.mark.parametrize("axis", [-1, [-1], [-2, -1]])
def test_rms_normalization_equals_keras(keras: Any, axis: Any) -> None:
    assert_same_as_keras(keras, "RMSNormalization", (2, 3, 4, 5), axis=axis)
    assert_same_as_keras(keras, "RMSNormalization", (2, 3, 4, 5), axis=axis, epsilon=0.2, unknown=(1,))


@pytest.mark.parametrize("axis", [-1, 1, [1, 2], (1, 2, 3)])
def test_unit_normalization_equals_keras(keras: Any, axis: Any) -> None:
    assert_same_as_keras(keras, "UnitNormalization", (2, 3, 4, 5), axis=axis)
    assert not layers.UnitNormalization()(np.zeros((2, 3), "float32")).any()


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16"])
def test_a_zero_vector_in_half_floats_stays_zero(dtype: str) -> None:
    """1e-12, the least norm that is divided by, is 0 in float16."""
    x = np.array([[0, 0], [300, -400]], "float32")
    found = layers.UnitNormalization(dtype=dtype)(x)
    assert np.allclose(found.float().cpu(), [[0, 0], [0.6, -0.8]], atol=5e-3)
    i = Input((2,))
    in_model = Model(i, layers.UnitNormalization(dtype=dtype)(i))
    assert torch.equal(in_model(x), found)
    assert layers.Dot(1, normalize=True, dtype=dtype)([x[:1], x[1:2]]).item() == 0


# Mistakes


def test_unknown_size() -> None:
    for kind in (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization):
        with pytest.raises(ShapeError, match=r"known sizes(.|\n)*axis=-1 of \(None, 4, None\)(.|\n)*repair"):
            kind()(Input((4, None)))


def test_no_such_axis() -> None:
    for kind in (layers.BatchNormalization, layers.LayerNormalization, layers.UnitNormalization):
        with pytest.raises(ArgumentError, match=r"No such axis(.|\n)*\[-2, 1\](.|\n)*5"):
            kind(axis=5)(Input((4,)))


def test_another_input_than_it_was_made_for() -> None:
    for layer in (layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(groups=2)):
        layer(Input((8, 4)))
        with pytest.raises(ShapeError, match=r"4 along axis 2(.|\n)*\(None, 8, 6\)"):
            layer(Input((8, 6)))
        with pytest.raises(ShapeError, match=r"3-D(.|\n)*\(None, 4\)"):
            layer(Input((4,)))


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="momentum of BatchNormalization must be"):
        layers.BatchNormalization(momentum=1.5)
    with pytest.raises(ArgumentError, match="epsilon"):
        layers.BatchNormalization(epsilon=-1)
    with pytest.raises(ShapeError, match=r"multiple of groups(.|\n)*divisible by 32(.|\n)*6 channels along axis -1"):
        layers.GroupNormalization()(Input((4, 6)))
    with pytest.raises(ArgumentError, match="groups"):
        layers.GroupNormalization(groups=0)


def test_half_precision_keeps_its_statistics() -> None:
    for dtype in ("bfloat16", "float16"):
        layer = layers.BatchNormalization(dtype=dtype, momentum=0.5)
        x = runtime.as_tensor(np.random.default_rng(0).normal(2.0, 1.0, (64, 3)), dtype)
        assert layer(x, training=True).dtype == x.dtype
        assert np.allclose(layer.moving_mean.value.float(), 1.0, atol=0.2)


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("before", ["nothing", "rescaling", "frozen", "trained"])
def test_groups_of_images_train_whatever_is_before_them(before: str, scale: bool, center: bool) -> None:
    """Scale and shift learn, although no gradient goes on to the images: the first layer, behind frozen ones."""
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 6)).astype("float32")
    inputs = Input((4, 4, 6))
    x = layers.Rescaling(2.0)(inputs) if before == "rescaling" else inputs
    x = layers.Conv2D(6, 1, trainable=before == "trained")(x) if before in ("frozen", "trained") else x
    layer = layers.GroupNormalization(groups=3, scale=scale, center=center)
    model = Model(inputs, layer(x))
    first = [value.copy() for value in layer.get_weights()]
    model.compile("sgd", "mse")
    model.fit(images, np.ones_like(images), verbose=0)
    assert all(not np.allclose(before, after) for before, after in zip(first, layer.get_weights(), strict=True))


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1, 8)])
def test_groups_of_one_value(keras: Any, shape: tuple[int, ...]) -> None:
    """One sample of which each value is a group of its own becomes 0, as in Keras."""
    layer, x = layers.GroupNormalization(groups=-1), np.full((1, *shape), 3.0, "float32")
    symbol = Input(shape)
    model = Model(symbol, layer(symbol))
    expected = keras.layers.GroupNormalization(groups=-1)(x).detach().cpu().numpy()
    assert np.allclose(model.predict(x, verbose=0), expected, atol=1e-4)
    assert np.allclose(layer(x).detach(), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_statistics_without_scale_and_shift_in_mixed_precision(dtype: str) -> None:
    """The batch's mean moves the moving one although no weight says in which type it is taken."""
    inputs = Input((4,))
    layer = layers.BatchNormalization(center=False, scale=False, momentum=0.0, dtype=dtype)
    model = Model(inputs, layers.Dense(4)(layer(inputs)))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(5.0, 1.0, (32, 4)).astype("float32")
    model.fit(x, x, batch_size=32, verbose=0)
    assert np.allclose(layer.moving_mean.numpy(), x.mean(0), atol=2e-2)


@pytest.mark.parametrize("shape", [(5, 6), (4, 4), (3, 7, 2)])
def test_a_dense_layer_before_statistics_of_another_axis(shape: tuple[int, ...]) -> None:
    """A batch normalization becomes part of a dense layer only where it normalizes what that gives, its last axis."""
    draw = np.random.default_rng(0)
    inputs = Input(shape)
    layer = layers.BatchNormalization(axis=1)
    model = Model(inputs, layer(layers.Dense(shape[-1])(inputs)))
    layer.moving_mean.assign(draw.normal(size=shape[0]))
    layer.moving_variance.assign(draw.uniform(0.5, 2.0, shape[0]))
    x = draw.normal(size=(8, *shape)).astype("float32")
    expected = layer(model.layers[1](x)).detach().cpu().numpy()
    assert np.allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    with torch.no_grad():
        assert np.allclose(model(x), expected, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.not_fake("torch's compiler has no code for it")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns about itself
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("affine", [True, False])
def test_compiled_training_in_16_bits_is_that_without_compilation(policy: str, affine: bool) -> None:
    x, y = np.random.default_rng(0).random((8, 4, 4, 3), "float32"), np.zeros((8, 4), "float32")

    def trained(jit: bool) -> Any:
        symbol = Input((4, 4, 3))
        inner = layers.Conv2D(4, 3, kernel_initializer="ones", dtype=policy)(symbol)
        normal = layers.BatchNormalization(center=affine, scale=affine, dtype=policy)(inner)
        model = Model(symbol, layers.GlobalAveragePooling2D(dtype=policy)(normal))
        model.compile(optimizers.SGD(0.01), "mse", jit_compile=jit, auto_scale_loss=False)
        model.fit(x, y, epochs=2, verbose=0)
        return model.get_weights()

    for compiled, plain in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=0.02, atol=0.02)
