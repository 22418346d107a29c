"""ResNet-50 edited as a graph: what was asked for is there, what was not is bit-equal."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anabranch import layers

EXAMPLE = Path(__file__).parents[1] / "examples" / "edit_resnet50.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


def changed(example: dict[str, Any], model: Any) -> Any:
    with pytest.warns(UserWarning, match=r"head: kernel \(2048, 10\) became \(1024, 10\), drawn again"):
        return example["changed"](model)


def test_it_is_resnet50(example: dict[str, Any]) -> None:
    model = example["resnet50"]()
    assert sum(w.size for w in model.trainable_weights) == 25_557_032, "as torchvision has it"
    assert len(model.select(layers.Conv2D)) == 53
    assert model["stage5_block3_out"].output.shape == (None, 7, 7, 2048)


def test_the_edits_and_their_diff(example: dict[str, Any], golden: Callable[[str, str], None]) -> None:
    model = example["resnet50"](classes=10)
    new = changed(example, model)
    assert model.select(layers.ReLU).keys() - new.select(layers.Activation).keys() == {
        path for path in model.select(layers.ReLU) if path.startswith("stage5")
    }
    assert not new.select(layers.ReLU)
    assert not new.select("stage5*")
    assert len(new.select(layers.Multiply)) == 3
    assert new.output_names == ["head", "rotation"]
    assert new.output_shape == [(None, 10), (None, 4)]
    golden("diff/resnet50", str(model.diff(new)))


def test_untouched_weights_are_bit_equal_and_it_runs(example: dict[str, Any]) -> None:
    model = example["resnet50"](classes=10, size=64)
    image = np.random.default_rng(0).random((1, 64, 64, 3)).astype("float32")
    with torch.no_grad():
        before = model(image).cpu().numpy()
    new = changed(example, model)
    for path, layer in model.select((layers.Conv2D, layers.BatchNormalization)).items():
        if not path.startswith("stage5"):
            for one, other in zip(layer.weights, new[path].weights, strict=True):
                assert one is other
    copied = model.edit(weights="copied")
    for one, other in zip(model.weights, copied.weights, strict=True):
        assert one is not other
        assert np.array_equal(one.numpy(), other.numpy())
    assert new["head"].bias is model["head"].bias
    with torch.no_grad():
        answer, rotation = new(image)
        assert (answer.shape, rotation.shape) == ((1, 10), (1, 4))
        assert np.array_equal(model(image).cpu().numpy(), before), "the old model stays as it was"
        assert np.array_equal(copied(image).cpu().numpy(), before)
