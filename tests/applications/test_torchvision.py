"""Checkpoints of torchvision: the same tensors by name and shape, the same outputs, and the reasons where there are none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anabranch import applications
from anabranch._errors import ArgumentError, FileFormatError
from anabranch.applications import _torchvision
from anabranch.exchange.weight_groups import groups_of
from anabranch.models import Model

SAME = {
    "ConvNeXtTiny": _torchvision.convnext, "DenseNet121": _torchvision.densenet, "DenseNet201": _torchvision.densenet,
    "VGG16": _torchvision.vgg((2, 2, 3, 3, 3)), "VGG19": _torchvision.vgg((2, 2, 4, 4, 4)),
}  # fmt: skip
STATES = {
    "ConvNeXtTiny": "ddd0f74f783edf2b", "DenseNet121": "222a58d1fd8d2818", "DenseNet201": "aaf6c59d276cc495",
    "VGG16": "ba63c2556d912509", "VGG19": "393fac8b08b63fbe",
}  # fmt: skip
"""Of each network of torchvision 0.28 the hash of the names and shapes of its tensors."""


def hashed(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the hash of names and shapes, without torch's counters."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items() if not name.endswith("num_batches_tracked"))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def checkpoint_of(model: Model, known: Any) -> dict[str, torch.Tensor]:
    """Return a checkpoint for a network, under torchvision's names, of random values."""
    found, drawn = {}, torch.Generator().manual_seed(0)
    for group in groups_of(model):
        module = known(group.path.rpartition("/")[2])
        assert module is not None, group.path
        for role, target in group.targets.items():
            alone = module.endswith("layer_scale")
            shape = (*target.shape, 1, 1) if alone else target.shape
            found[module if alone else f"{module}.{role}"] = torch.rand(shape, generator=drawn) + 0.1
    return found


@pytest.mark.parametrize("name", [
    "DenseNet121", *(pytest.param(name, marks=pytest.mark.slow) for name in SAME if name != "DenseNet121")
])  # fmt: skip
def test_a_checkpoint_has_a_tensor_for_each_weight(name: str, tmp_path: Path) -> None:
    options = {"include_preprocessing": False} if "ConvNeXt" in name else {}
    build = getattr(applications, name)
    tensors = checkpoint_of(build(weights=None, **options), SAME[name])
    assert hashed({key: tuple(tensor.shape) for key, tensor in tensors.items()}) == STATES[name]
    torch.save(tensors, tmp_path / "c.pth")
    body = build(weights=tmp_path / "c.pth", include_top=False, **options)
    for weight in body.weights:
        layer, _, role = weight.path.rpartition("/")
        module = SAME[name](layer.rpartition("/")[2])
        if role in ("beta", "bias"):
            np.testing.assert_array_equal(weight.numpy(), tensors[f"{module}.bias"].numpy())


def test_the_epsilon_of_torchvision_goes_into_the_variance(tmp_path: Path) -> None:
    tensors = checkpoint_of(applications.DenseNet121(weights=None), _torchvision.densenet)
    tensors["features.norm0.running_var"] = torch.full((64,), 2e-5)
    torch.save(tensors, tmp_path / "c.pth")
    layer = applications.DenseNet121(weights=tmp_path / "c.pth").get_layer("conv1_bn")
    np.testing.assert_allclose(layer.moving_variance.numpy() + layer.epsilon, np.full(64, 3e-5), rtol=1e-5)


def test_names_of_older_checkpoints(tmp_path: Path) -> None:
    tensors = checkpoint_of(applications.DenseNet121(weights=None), _torchvision.densenet)
    older = {name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value for name, value in tensors.items()}
    assert older.keys() != tensors.keys()
    torch.save(older, tmp_path / "c.pth")
    layer = applications.DenseNet121(weights=tmp_path / "c.pth").get_layer("conv2_block1_0_bn")
    np.testing.assert_array_equal(layer.beta.numpy(), tensors["features.denseblock1.denselayer1.norm1.bias"].numpy())


@pytest.mark.parametrize(("name", "reason"), [
    ("ResNet50", "stride is in"), ("MobileNetV2", "pads both sides"), ("EfficientNetB0", "pads both sides"),
    ("EfficientNetV2S", "pads both sides"), ("MobileNetV3Small", "pads both sides"), ("InceptionV3", "averages"),
    ("EfficientNetV2B0", "no such network"), ("Xception", "no such network"), ("ResNet50V2", "no such network"),
    ("NASNetMobile", "no such network"), ("MobileNet", "no such network"),
])  # fmt: skip
def test_a_reason_where_the_arithmetic_differs(name: str, reason: str, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "c.pth")
    with pytest.raises(ArgumentError, match=reason):
        getattr(applications, name)(weights=tmp_path / "c.pth")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.ones(2, 2, 1, 1)}, tmp_path / "c.pth")
    with pytest.raises(FileFormatError, match="missing"):
        applications.DenseNet121(weights=tmp_path / "c.pth")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_outputs_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: made for another torch
        pytest.skip(f"torchvision is not there: {error}")
    torch.manual_seed(0)
    module = getattr(models, {"ConvNeXtTiny": "convnext_tiny"}.get(name, name.lower()))(weights=None).eval()
    torch.save(module.state_dict(), tmp_path / "c.pth")
    options = {"include_preprocessing": False} if "ConvNeXt" in name else {}
    model = getattr(applications, name)(weights=tmp_path / "c.pth", classifier_activation=None, **options)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = module(x).numpy()
    found = model.predict(x.permute(0, 2, 3, 1).numpy(), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, expected.std()))
