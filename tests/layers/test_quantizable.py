"""Integers in the place of weights, beside Keras: values and scales, results, policies, files both ways, LoRA, training."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

import anabranch as ab
from anabranch import edit, layers, quantizers
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError
from anabranch.layers.absent import QUANTIZABLE
from anabranch.layers.quantizable import Quantizable

DENSE = ("Dense", {"units": 5, "activation": "relu"}, (12,))
EINSUM = ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}, (6, 12))
TWO = ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 5), "bias_axes": "e"}, (6, 2, 6))
LAST = ("EinsumDense", {"equation": "abc,dc->abd", "output_shape": (None, 5), "bias_axes": "d"}, (6, 12))
TABLE = ("Embedding", {"input_dim": 9, "output_dim": 11}, (5,))
BOTH = ("ReversibleEmbedding", {"input_dim": 9, "output_dim": 11}, (5,))
UNTIED = ("ReversibleEmbedding", {"input_dim": 9, "output_dim": 11, "tie_weights": False}, (5,))
KINDS = [DENSE, EINSUM, TWO, LAST, TABLE, BOTH, UNTIED]
pytestmark = pytest.mark.filterwarnings("ignore:The use of `x.T`")  # in Keras's own code
MODES = ("int8", "int8 of weights", "int4", "int4 in blocks", "int4 of inputs")


def test_texts_name_the_layers_that_have_it() -> None:
    public = [getattr(layers, name) for name in dir(layers)]
    names = {each.__name__ for each in public if isinstance(each, type) and issubclass(each, Quantizable)}
    assert set(re.findall("[A-Z][A-Za-z]+", QUANTIZABLE)) == names == {kind for kind, _, _ in KINDS}
    page = (Path(__file__).parents[2] / "docs" / "precision.md").read_text()
    sentence = page[page.index('`model.quantize("int8")`') :].partition(" layers by integers")[0]
    assert set(re.findall("`([A-Z][A-Za-z]+)`", sentence)) == names
    with pytest.raises(ArgumentError, match="nothing to quantize") as error:
        ab.Sequential([ab.Input((4,)), layers.ReLU(name="act")]).edit(edit.quantize("act", "int8"))
    assert all(name in str(error.value) for name in names)


def config_of(package: Any, how: str) -> Any:
    quantizers = package.quantizers
    return {
        "int8": lambda: quantizers.Int8QuantizationConfig(),
        "int8 of weights": lambda: quantizers.Int8QuantizationConfig(activation_quantizer=None),
        "int4": lambda: quantizers.Int4QuantizationConfig(block_size=None),
        "int4 in blocks": lambda: quantizers.Int4QuantizationConfig(block_size=6),
        "int4 of inputs": lambda: quantizers.Int4QuantizationConfig(
            activation_quantizer=quantizers.AbsMaxQuantizer(), block_size=-1
        ),
    }[how]()


def data(kind: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(1)
    return rng.integers(0, 9, (3, *shape)) if "Embedding" in kind else rng.normal(size=(3, *shape)).astype("float32")


def model_of(package: Any, kind: str, settings: dict[str, Any], shape: tuple[int, ...], **more: Any) -> Any:
    inputs = package.Input(shape, dtype="int32" if "Embedding" in kind else "float32")
    layer = getattr(package.layers, kind)(**settings, **more, name="small")
    found = layer(inputs)
    return package.Model(inputs, layer(found, reverse=True) if kind.startswith("Reversible") else found)


def pair_of(keras: Any, kind: str, settings: dict[str, Any], shape: tuple[int, ...], **more: Any) -> tuple[Any, Any]:
    """Return a model of each library, with the same weights, which have both signs in each block."""
    ours, theirs = (model_of(package, kind, settings, shape, **more) for package in (ab, keras))
    rng = np.random.default_rng(2)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        assert weight.path == other.path
        weight.assign(np.abs(rng.normal(size=weight.shape)) * (-1.0) ** np.indices(weight.shape).sum(0))
        other.assign(weight.numpy())
    return ours, theirs


def small(model: Any) -> Any:
    return next(layer for layer in model.layers if layer.name == "small")


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(("kind", "settings", "shape"), KINDS)
def test_as_keras(how: str, kind: str, settings: dict[str, Any], shape: tuple[int, ...], keras: Any) -> None:
    ours, theirs = pair_of(keras, kind, settings, shape)
    floats, x = ours.predict(data(kind, shape), verbose=0), data(kind, shape)
    for package, model in ((ab, ours), (keras, theirs)):
        small(model).quantize(config=config_of(package, how))
    for listed in ("weights", "trainable_weights", "non_trainable_weights"):
        found = [[(w.path, tuple(w.shape), str(w.dtype)) for w in getattr(model, listed)] for model in (ours, theirs)]
        assert found[0] == found[1], listed
    for weight, same in zip(ours.weights, theirs.weights, strict=True):
        if weight.dtype == "int8":  # a value at the middle between two integers may be rounded to either
            assert (weight.numpy() != keras.ops.convert_to_numpy(same)).mean() < 0.01, weight.path
        else:
            np.testing.assert_allclose(weight.numpy(), keras.ops.convert_to_numpy(same), rtol=1e-5, err_msg=weight.path)
    assert small(ours).dtype_policy.name == small(theirs).dtype_policy.name
    assert small(ours).quantization_mode == small(theirs).quantization_mode
    found, expected = small(ours).get_config(), small(theirs).get_config()
    assert found["quantization_config"]["class_name"] == expected["quantization_config"]["class_name"]
    result, wanted = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    if (kind.startswith("Reversible") and how in ("int4 of inputs", "int4 in blocks")) or how == "int8":
        np.testing.assert_allclose(result, wanted, rtol=1e-3, atol=5e-3 * np.abs(wanted).max())  # an input may round otherwise
    else:
        close(result, wanted)
    close(result, ab.ops.convert_to_numpy(ours(x)))
    assert np.abs(result - floats).max() < 0.5 * np.abs(floats).max(), "near what it was"
    assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(("kind", "settings", "shape"), KINDS)
def test_files(how: str, kind: str, settings: dict[str, Any], shape: tuple[int, ...], keras: Any, tmp_path: Path) -> None:
    ours, theirs = pair_of(keras, kind, settings, shape)
    x = data(kind, shape)
    for package, model in ((ab, ours), (keras, theirs)):
        small(model).quantize(config=config_of(package, how))
    expected, wanted = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    ours.save_weights(tmp_path / "ours.weights.h5")
    again = ab.models.load_model(tmp_path / "ours.keras")
    close(again.predict(x, verbose=0), expected)
    assert small(again).dtype_policy == small(ours).dtype_policy
    assert small(again).quantization_config == small(ours).quantization_config
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ab.models.clone_model(ours)):
        other.load_weights(tmp_path / "ours.weights.h5")
        close(other.predict(x, verbose=0), expected)
    tolerance = {"rtol": 1e-3, "atol": 5e-3 * np.abs(wanted).max()}
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "ours.keras").predict(x, verbose=0), expected, **tolerance
    )  # fmt: skip
    np.testing.assert_allclose(ab.models.load_model(tmp_path / "theirs.keras").predict(x, verbose=0), wanted, **tolerance)
    close(ours.to_torch()(on_device(x)).detach(), expected)


@pytest.mark.parametrize("how", ["int8", "int8 of weights", "int4", "int4 in blocks"])
@pytest.mark.parametrize(("kind", "settings", "shape"), [DENSE, EINSUM, TABLE])
def test_trained(how: str, kind: str, settings: dict[str, Any], shape: tuple[int, ...], keras: Any, tmp_path: Path) -> None:
    """LoRA and biases are trained, the integers are not; files hold the sum, as integers."""
    ours, theirs = pair_of(keras, kind, settings, shape)
    x = data(kind, shape)
    for package, model in ((ab, ours), (keras, theirs)):
        small(model).quantize(config=config_of(package, how))
        small(model).enable_lora(2)
        model.compile(package.optimizers.SGD(0.05), "mse")
    rng = np.random.default_rng(3)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        assert (weight.path, weight.trainable) == (other.path, other.trainable)
        if weight.trainable:
            weight.assign(rng.normal(size=weight.shape))
            other.assign(weight.numpy())
    before = {weight.path: weight.numpy() for weight in ours.weights}
    y = np.zeros_like(theirs.predict(x, verbose=0))
    histories = [model.fit(x, y, epochs=3, batch_size=3, verbose=0).history["loss"] for model in (ours, theirs)]
    np.testing.assert_allclose(histories[0], histories[1], rtol=2e-2)
    assert histories[0][-1] < histories[0][0]
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        assert weight.trainable is (not np.array_equal(weight.numpy(), before[weight.path])), weight.path
        if weight.trainable:
            np.testing.assert_allclose(weight.numpy(), keras.ops.convert_to_numpy(other), rtol=5e-2, atol=5e-2)
    result = ours.predict(x, verbose=0)
    close(result, ab.ops.convert_to_numpy(ours(x)))
    ours.save(tmp_path / "sum.keras")
    again = ab.models.load_model(tmp_path / "sum.keras")
    merged = ours.edit(edit.merge_lora())
    np.testing.assert_allclose(again.predict(x, verbose=0), merged.predict(x, verbose=0), rtol=1e-3, atol=1e-3)
    steps = 127 if "int8" in how else 7
    assert np.abs(merged.predict(x, verbose=0) - result).max() < 30 / steps * np.abs(result).max() / 4


def test_gradient_of_inputs_is_that_of_the_floats_that_integers_stand_for(keras: Any) -> None:
    ours, theirs = pair_of(keras, *DENSE)
    grads = []
    for model in (ours, theirs):
        small(model).quantize("int8")
        x = torch.as_tensor(data("Dense", DENSE[2])).requires_grad_()
        found = model(x)
        (grad,) = torch.autograd.grad(found.sum(), x)
        grads.append(grad.numpy())
    close(*grads)


def test_a_whole_model_in_place_and_by_an_edit(keras: Any) -> None:
    def made(package: Any) -> Any:
        tokens = package.Input((6,), dtype="int32", name="tokens")
        x = package.layers.Embedding(20, 8, name="table")(tokens)
        x = package.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
        x = package.layers.Conv1D(8, 2, name="conv")(x)
        x = package.layers.GlobalAveragePooling1D()(x)
        return package.Model(tokens, package.layers.Dense(3, activation="softmax", name="head")(x))

    ours, theirs = made(ab), made(keras)
    rng = np.random.default_rng(0)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        weight.assign(rng.normal(size=weight.shape))
        other.assign(weight.numpy())
    x = rng.integers(0, 20, (4, 6))
    before = ours.predict(x, verbose=0)
    new = ours.edit(edit.quantize(mode="int8"))
    assert [layer.quantization_mode for layer in ours.layers] == [None] * 6
    ours.quantize("int8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each layer that has nothing to quantize
        theirs.quantize("int8")
    assert sorted(w.path for w in ours.weights) == sorted(w.path for w in theirs.weights)
    assert {w.path: w.dtype for w in ours.weights} == {w.path: str(w.dtype) for w in theirs.weights}
    after = ours.predict(x, verbose=0)
    np.testing.assert_allclose(after, theirs.predict(x, verbose=0), atol=0.02)
    np.testing.assert_allclose(after, before, atol=0.1)
    assert [layer.name for layer in new.layers if layer.quantization_mode] == ["table", "head"], "a path of its own is inside"
    assert new.predict(x, verbose=0).shape == before.shape


def test_filters() -> None:
    def modes(filters: Any) -> list[str | None]:
        x = ab.Input((4,))
        model = ab.Model(x, layers.Dense(2, name="head")(layers.Dense(4, name="body")(x)))
        model.quantize("int8", filters=filters)
        return [layer.quantization_mode for layer in model.layers[1:]]

    assert modes("^b") == modes(["bod", "x"]) == modes(lambda layer: layer.name == "body") == ["int8", None]
    assert modes(None) == ["int8", "int8"]
    for wrong, kind in ((3, ArgumentTypeError), ("[", ArgumentError), ("none", ArgumentError)):
        with pytest.raises(kind):
            modes(wrong)


def test_by_a_policy(keras: Any) -> None:
    layer, other = (package.layers.Dense(3, dtype="int4/4_from_float32") for package in (ab, keras))
    for each in (layer, other):
        each.build((None, 6))
    assert [(w.name, w.shape, w.dtype) for w in layer.weights] == [(w.name, w.shape, str(w.dtype)) for w in other.weights]
    np.testing.assert_array_equal(layer.g_idx.numpy(), keras.ops.convert_to_numpy(other.g_idx))
    later = layers.Dense(3)
    later.build((None, 6))
    floats = later.kernel.numpy()
    later.dtype_policy = "int8_from_float32"
    assert later.kernel.dtype == "int8"
    np.testing.assert_allclose(later.kernel.numpy() / later.kernel_scale.numpy(), floats, atol=0.01)
    assert layers.Dense.from_config(layer.get_config()).dtype_policy == layer.dtype_policy


def test_mixed_precision() -> None:
    model = model_of(ab, *DENSE, dtype="mixed_bfloat16")
    x = data("Dense", DENSE[2])
    before = model.predict(x, verbose=0)
    model.quantize("int8")
    assert small(model).dtype_policy.name == "int8_from_mixed_bfloat16"
    assert small(model).kernel_scale.dtype == "float32"
    np.testing.assert_allclose(model.predict(x, verbose=0).astype("float32"), before.astype("float32"), atol=0.1)


def test_it_takes_less_memory() -> None:
    model = ab.Sequential([ab.Input((256,)), layers.Dense(256, use_bias=False)])
    module = model.to_torch()
    floats = sum(value.nbytes for value in module.state_dict().values())
    model.quantize("int4", quantizers.Int4QuantizationConfig(block_size=64))
    assert sum(value.nbytes for value in model.to_torch().state_dict().values()) < 0.2 * floats


class Own(layers.Dense):
    """A class of a user's, whose call may do anything."""


def test_refused() -> None:
    layer = layers.Dense(4)
    with pytest.raises(NotReadyError, match="no kernel yet"):
        layer.quantize("int8")
    layer.build((None, 8))
    for wrong, match in (
        (("int9",), "int9"), ((), "a mode or a config"), (("float8",), "torchao"), (("gptq",), "GPTQConfig"),
        (("int8", quantizers.Int4QuantizationConfig()), "differ"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=match):
            layer.quantize(*wrong)
    with pytest.raises(ShapeError, match="axis=0"):
        layer.quantize(config=quantizers.Int8QuantizationConfig(weight_quantizer=quantizers.AbsMaxQuantizer(axis=1)))
    assert layer.quantization_mode is None, "nothing has happened"
    layer.quantize("int8")
    for again in (lambda: layer.quantize("int4"), lambda: setattr(layer, "dtype_policy", "float32")):
        with pytest.raises(ArgumentError, match="int8"):
            again()
    with pytest.raises(ArgumentError, match="does not quantize"):
        layers.Conv2D(2, 1, dtype="int8_from_float32")
    with pytest.raises(AttributeError, match="Dense, EinsumDense"):
        layers.Conv2D(2, 1).quantize("int8")
    with pytest.raises(ArgumentError, match="dtype="):
        layers.Dense(2, quantization_config=quantizers.Int8QuantizationConfig())
    with pytest.raises(ArgumentError, match="dtype= of a layer"):
        ab.config.set_dtype_policy("int8_from_float32")
    with pytest.raises(ArgumentError, match="No layer of"):
        ab.Sequential([ab.Input((4,)), layers.ReLU()]).quantize("int8")
    with pytest.raises(ArgumentError, match="nothing to quantize"):
        ab.Sequential([ab.Input((4,)), layers.ReLU(name="act")]).edit(edit.quantize("act", "int8"))
    square = layers.EinsumDense("ab,b->ab", 8)
    square.build((None, 8))
    with pytest.raises(ArgumentError, match="sums over no axis"):
        square.quantize("int8")
    own = Own(2)
    own.build((None, 4))
    with pytest.raises(ArgumentError, match="type_check=False"):
        own.quantize("int8")
    own.quantize("int8", type_check=False)
    assert own.quantization_mode == "int8"
    with pytest.warns(UserWarning, match="stays as it is"):
        ab.Sequential([ab.Input((4,)), Own(4), layers.Dense(2)]).quantize("int8")
