"""Checkpoints of timm: a module for each layer each tensor used, the same outputs, and reasons where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anabranch import applications
from anabranch._errors import ArgumentError, FileFormatError
from anabranch.applications import _timm
from anabranch.applications._pixels import DEVIATIONS, MEANS
from anabranch.applications.mobilenet_v3 import SMALL
from anabranch.exchange.weight_groups import groups_of
from anabranch.models import Model

GOLDEN = Path(__file__).parents[1] / "golden" / "timm"
"""Of networks of timm 1.0.31 the names and shapes of their tensors, without torch's counters."""
MOBILE = _timm.mobilenet_v3(tuple(block.width for block in SMALL))
SAME: dict[str, tuple[str, Any]] = {  # the network here, and what corresponds
    "tf_efficientnet_b0": ("EfficientNetB0", _timm.efficientnet),
    "tf_efficientnetv2_b0": ("EfficientNetV2B0", _timm.efficientnet_v2),
    "tf_mobilenetv3_small_100": ("MobileNetV3Small", MOBILE),
    "convnext_tiny": ("ConvNeXtTiny", _timm.convnext),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) if name == "convnext_tiny" else name for name in SAME]


def checkpoint(name: str) -> dict[str, torch.Tensor]:
    """Return a checkpoint under timm's names, of random values."""
    drawn = torch.Generator().manual_seed(0)
    rows = (GOLDEN / f"{name}.txt").read_text().splitlines()
    return {tensor: torch.rand(*map(int, sizes), generator=drawn) + 0.1 for tensor, *sizes in map(str.split, rows)}


def built(name: str, **given: Any) -> Model:
    """Return our network for one of timm's; EfficientNet alone has no choice of preprocessing."""
    word = SAME[name][0]
    options = {} if word == "EfficientNetB0" else {"include_preprocessing": False}
    build: Callable[..., Model] = getattr(applications, word)
    return build(**options | given)


@pytest.mark.parametrize("name", SLOW)
def test_each_layer_has_a_module_and_each_tensor_is_used(name: str, tmp_path: Path) -> None:
    tensors = checkpoint(name)
    wanted = set(tensors)
    for group in groups_of(built(name, weights=None)):
        module = SAME[name][1](group.path.rpartition("/")[2])
        assert module is not None, group.path
        if module != "normalization":
            names = {module} if module in tensors else {f"{module}.{role}" for role in group.targets}
            assert names <= wanted, (group.path, names - wanted)  # each once
            wanted -= names
    assert not wanted
    torch.save(tensors, tmp_path / f"{name}.pth")
    body = built(name, weights=tmp_path / f"{name}.pth", include_top=False)
    for weight in body.weights:
        layer, _, role = weight.path.rpartition("/")
        module = SAME[name][1](layer.rpartition("/")[2])
        if role in ("beta", "bias"):
            np.testing.assert_array_equal(weight.numpy(), tensors[f"{module}.bias"].numpy())
        if role == "moving_variance":  # timm's epsilon is Keras's
            np.testing.assert_array_equal(weight.numpy(), tensors[f"{module}.running_var"].numpy())


def test_efficientnet_normalizes_pixels_itself(tmp_path: Path) -> None:
    torch.save(checkpoint("tf_efficientnet_b0"), tmp_path / "tf_efficientnet_b0.pth")
    model = applications.EfficientNetB0(weights=tmp_path / "tf_efficientnet_b0.pth", include_top=False)
    scaled = next(layer for layer in model.layers if layer.name.startswith("normalization"))
    np.testing.assert_allclose(np.ravel(scaled.mean.numpy()), MEANS["torch"])
    np.testing.assert_allclose(np.ravel(scaled.variance.numpy()), np.square(DEVIATIONS), rtol=1e-6)


def test_networks_with_other_padding_are_named_by_the_path(tmp_path: Path) -> None:
    tensors = checkpoint("tf_mobilenetv3_small_100")
    torch.save(tensors, tmp_path / "mobilenetv3_small_100.pth")
    with pytest.raises(ArgumentError, match="path has to say"):
        applications.MobileNetV3Small(weights=tmp_path / "mobilenetv3_small_100.pth")
    folder = tmp_path / "models--timm--tf_mobilenetv3_small_100.in1k"  # as Hugging Face's cache names it
    folder.mkdir()
    torch.save(tensors, folder / "model.pth")
    layer = applications.MobileNetV3Small(weights=folder / "model.pth").get_layer("conv")
    np.testing.assert_array_equal(layer.kernel.numpy(), tensors["conv_stem.weight"].permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize(("name", "sign", "reason"), [
    ("Xception", "block1.rep.0.conv1.weight", "pads both sides"), ("MobileNetV2", "conv_stem.weight", "pads both sides"),
    ("MobileNet", "conv_stem.weight", "pads both sides"), ("InceptionResNetV2", "conv2d_1a.conv.weight", "no correspondence"),
    ("ResNet50V2", "stem.conv.weight", "no correspondence"), ("NASNetMobile", "conv0.conv.weight", "no correspondence"),
])  # fmt: skip
def test_a_reason_where_there_is_none(name: str, sign: str, reason: str, tmp_path: Path) -> None:
    torch.save({sign: torch.ones(2, 2)}, tmp_path / "c.pth")
    with pytest.raises(ArgumentError, match=f"weights of timm.*{reason}"):
        getattr(applications, name)(weights=tmp_path / "c.pth")


def test_a_checkpoint_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    tensors = checkpoint("tf_mobilenetv3_small_100")
    del tensors["blocks.4.2.se.conv_expand.bias"]
    torch.save(tensors, tmp_path / "tf_mobilenetv3_small_100.pth")
    with pytest.raises(FileFormatError, match="missing"):
        applications.MobileNetV3Small(weights=tmp_path / "tf_mobilenetv3_small_100.pth")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_outputs_are_those_of_timm(name: str, tmp_path: Path) -> None:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: its torchvision was made for another torch
        pytest.skip(f"timm is not there: {error}")
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    for value in module.state_dict().values():
        if value.ndim == 1:  # of normalizations; a wider range would magnify rounding from layer to layer
            value.uniform_(0.9, 1.1)
    torch.save(module.state_dict(), tmp_path / f"{name}.pth")
    size = 65 if name.startswith("tf") else 64  # padding of odd sizes is another
    model = built(
        name, weights=tmp_path / f"{name}.pth", input_shape=(size, size, 3), classifier_activation=None
    )  # fmt: skip
    x = torch.rand(2, 3, size, size)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEANS["torch"], DEVIATIONS))
    with torch.no_grad():
        expected = module((x - mean) / deviation if name == "tf_efficientnet_b0" else x).numpy()
    given = 255 * x if name == "tf_efficientnet_b0" else x
    found = model.predict(given.permute(0, 2, 3, 1).numpy(), verbose=0)
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.std())
