"""LoRA beside Keras: settings, weights and their paths, what is trained, files both ways, edits of a model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import on_device

import anabranch as ab
from anabranch import edit, layers
from anabranch._errors import ArgumentError, NotReadyError

DENSE = ("Dense", {"units": 4}, (8,), "kernel")
EINSUM = ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}, (6, 8), "kernel")
NO_SUM = ("EinsumDense", {"equation": "ab,b->ab", "output_shape": 8}, (8,), "kernel")
TABLE = ("Embedding", {"input_dim": 9, "output_dim": 4}, (5,), "embeddings")
IMAGES = ("Conv2D", {"filters": 6, "kernel_size": (3, 2), "groups": 2, "padding": "same"}, (5, 5, 4), "kernel")
STEPS = ("Conv1D", {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "causal", "use_bias": False}, (7, 2), "kernel")
FIRST = ("Conv2D", {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}, (4, 5, 5), "kernel")
SPACE = ("Conv3D", {"filters": 2, "kernel_size": 2, "activation": "relu"}, (4, 4, 4, 1), "kernel")
KINDS = [DENSE, EINSUM, TABLE, IMAGES, STEPS, FIRST, SPACE]


def data(kind: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(1)
    return rng.integers(0, 9, (3, *shape)) if kind == "Embedding" else rng.normal(size=(3, *shape)).astype("float32")


def model_of(package: Any, kind: str, settings: dict[str, Any], shape: tuple[int, ...], **more: Any) -> Any:
    inputs = package.Input(shape, dtype="int32" if kind == "Embedding" else "float32")
    layer = getattr(package.layers, kind)(**settings, **more, name="adapted")
    return package.Model(inputs, layer(inputs))


def copied(ours: Any, theirs: Any) -> None:
    """Give Keras's model our weights, all of them drawn, as zeros in a factor hide the other."""
    rng = np.random.default_rng(2)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        weight.assign(rng.normal(size=weight.shape))
        other.assign(weight.numpy())


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(("kind", "settings", "shape", "name"), [DENSE, EINSUM, TABLE])
def test_dtypes(kind: str, settings: dict[str, Any], shape: tuple[int, ...], name: str, policy: str, keras: Any) -> None:
    ours, theirs = (model_of(package, kind, settings, shape, lora_rank=2, dtype=policy) for package in (ab, keras))
    found, expected = (model.layers[1](data(kind, shape)) for model in (ours, theirs))
    assert str(found.dtype) == str(expected.dtype) == f"torch.{ours.output.dtype}"


@pytest.mark.parametrize(("kind", "settings", "shape", "name"), KINDS)
def test_as_keras(kind: str, settings: dict[str, Any], shape: tuple[int, ...], name: str, keras: Any) -> None:
    alpha = 3 if kind == "EinsumDense" else 2  # Keras's Dense and Embedding forget it
    ours, theirs = (model_of(package, kind, settings, shape, lora_rank=2, lora_alpha=alpha) for package in (ab, keras))
    for listed in ("weights", "trainable_weights", "non_trainable_weights"):
        found = [[(w.path, tuple(w.shape)) for w in getattr(model, listed)] for model in (ours, theirs)]
        assert found[0] == found[1], listed
    mine, other = ours.layers[1].get_config(), theirs.layers[1].get_config()
    assert mine.keys() >= other.keys()
    assert (mine["lora_rank"], mine["lora_alpha"]) == (other["lora_rank"], other["lora_alpha"]) == (2, alpha)
    copied(ours, theirs)
    x = data(kind, shape)
    expected = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ab.ops.convert_to_numpy(ours.layers[1](x)), expected, rtol=1e-4, atol=1e-5)
    for model in (ours, theirs):
        model.compile(
            (type(model).__module__.startswith("keras") and keras.optimizers.SGD(0.01)) or ab.optimizers.SGD(0.01), "mse"
        )
        model.fit(x, np.zeros_like(expected), epochs=2, verbose=0)
    for weight, same in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), keras.ops.convert_to_numpy(same), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "settings", "shape", "name"), KINDS)
def test_files(kind: str, settings: dict[str, Any], shape: tuple[int, ...], name: str, keras: Any, tmp_path: Path) -> None:
    ours, theirs = (model_of(package, kind, settings, shape, lora_rank=2) for package in (ab, keras))
    copied(ours, theirs)
    x = data(kind, shape)
    expected = ours.predict(x, verbose=0)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    for other in (
        keras.models.load_model(tmp_path / "ours.keras"), ab.models.load_model(tmp_path / "ours.keras"),
        ab.models.load_model(tmp_path / "theirs.keras"), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)),
    ):  # fmt: skip
        np.testing.assert_allclose(other.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    again = ab.models.load_model(tmp_path / "ours.keras").layers[1]
    assert not getattr(again, f"lora_{name}_b").numpy().any()
    assert getattr(again, f"lora_{name}_a").numpy().any(), "of zeros in both, no gradient would come"
    np.testing.assert_allclose(
        ours.to_torch()(on_device(x)).detach(), expected, rtol=1e-4, atol=1e-5
    )  # fmt: skip
    assert [weight.path for weight in ab.models.clone_model(ours).weights] == [weight.path for weight in ours.weights]


@pytest.mark.parametrize(("kind", "settings", "shape", "name"), [*KINDS, NO_SUM])
def test_edits(kind: str, settings: dict[str, Any], shape: tuple[int, ...], name: str) -> None:
    model = model_of(ab, kind, settings, shape)
    x = data(kind, shape)
    expected = model.predict(x, verbose=0)
    adapted = model.edit(edit.add_lora("adapted", rank=2, lora_alpha=1.0))
    np.testing.assert_allclose(adapted.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert all(weight.trainable for weight in model.weights), "the model that is edited stays"
    assert [weight.name for weight in adapted.non_trainable_weights] == [name]
    adapted.compile("sgd", "mse")
    adapted.fit(x, np.zeros_like(expected), epochs=3, verbose=0)
    after = adapted.predict(x, verbose=0)
    assert np.abs(after).sum() < np.abs(expected).sum()
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    merged = adapted.edit(edit.merge_lora())
    np.testing.assert_allclose(merged.predict(x, verbose=0), after, rtol=1e-4, atol=1e-5)
    assert [(w.path, w.trainable) for w in merged.weights] == [(w.path, w.trainable) for w in model.weights]
    assert "lora_rank" not in merged.layers[1].get_config()


def test_enable_lora_of_a_trained_model() -> None:
    model = model_of(ab, *DENSE[:3])
    x = data("Dense", (8,))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 4)), verbose=0)
    kernel, before = model.layers[1].kernel.numpy(), model.predict(x, verbose=0)
    model.layers[1].enable_lora(2)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 4)), epochs=3, verbose=0)
    np.testing.assert_array_equal(model.layers[1].kernel.numpy(), kernel)
    assert model.layers[1].lora_kernel_b.numpy().any()


def test_refused() -> None:
    layer = layers.Dense(4)
    with pytest.raises(NotReadyError, match="no kernel yet"):
        layer.enable_lora(2)
    layer.build((None, 8))
    with pytest.raises(ArgumentError, match="rank of LoRA"):
        layer.enable_lora(0)
    layer.enable_lora(2)
    with pytest.raises(ArgumentError, match="has LoRA already"):
        layer.enable_lora(2)
    with pytest.raises(ArgumentError, match="kernel_constraint"):
        layers.Dense(4, kernel_constraint="non_neg", lora_rank=2)
    with pytest.raises(ArgumentError, match="has no LoRA"):
        ab.Sequential([ab.Input((4,)), layers.ReLU(name="act")]).edit(edit.add_lora("act", rank=2))
