"""Checkpoints of torchvision in networks of the same arithmetic: the module there for each layer here, family by family.

Where the arithmetic differs, no weights give the same outputs, and a sentence says in which way it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate
from typing import TypeAlias

Correspondence: TypeAlias = "Callable[[str], str | None] | str"
"""The module there for the path of a layer here; or why weights do not fit."""
EPSILON = 1e-5  # of torchvision's batch normalizations in the families below
ENDS = ("classifier",)  # what of a checkpoint a network without classifier has no use for

# Why weights of torchvision do not fit.
NONE = "It has no such network."
PADDING = (
    "Before a convolution of stride 2 torchvision pads both sides of an image alike, Keras the end of a side of even length: "
    "the two see other pixels."
)
STRIDES = "A stage's stride is in its first 3×3 convolution in torchvision, in the 1×1 convolution before that in Keras."
AVERAGES = "At the border of an image torchvision counts the padding in averages, Keras does not."


def vgg(depths: tuple[int, ...]) -> Correspondence:
    """Return what corresponds to the layers of a VGG with so many convolutions in each stage."""
    starts = [0, *accumulate(2 * depth + 1 for depth in depths)]  # a convolution and its ReLU; the pooling

    def module(path: str) -> str | None:
        found = re.fullmatch(r"block(\d)_conv(\d)", path)
        if found is None:
            return {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}.get(path)
        return f"features.{starts[int(found[1]) - 1] + 2 * int(found[2]) - 2}"

    return module


def densenet(path: str) -> str | None:
    """Return what corresponds to a layer of a DenseNet."""
    if found := re.fullmatch(r"conv(\d)_block(\d+)_(0_bn|1_conv|1_bn|2_conv)", path):
        part = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}[found[3]]
        return f"features.denseblock{int(found[1]) - 1}.denselayer{found[2]}.{part}"
    if found := re.fullmatch(r"pool(\d)_(bn|conv)", path):
        return f"features.transition{int(found[1]) - 1}.{found[2].replace('bn', 'norm')}"
    ends = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5", "predictions": "classifier"}
    return ends.get(path)


def convnext(path: str) -> str | None:
    """Return what corresponds to a layer of a ConvNeXt."""
    if found := re.search(r"_stage_(\d)_block_(\d+)_(.+)$", path):
        parts = {"depthwise_conv": "0", "layernorm": "2", "pointwise_conv_1": "3", "pointwise_conv_2": "5"}
        part = "layer_scale" if found[3] == "layer_scale" else f"block.{parts[found[3]]}"
        return f"features.{2 * int(found[1]) + 1}.{found[2]}.{part}"
    if found := re.search(r"_downsampling_(layernorm|conv)_(\d)$", path):
        return f"features.{2 * int(found[2]) + 2}.{int(found[1] == 'conv')}"
    ends = {
        "_stem_conv": "features.0.0", "_stem_layernorm": "features.0.1", "_head_layernorm": "classifier.0",
        "_head_dense": "classifier.2", "layer_normalization": "classifier.0",
    }  # fmt: skip
    return next((module for end, module in ends.items() if path.endswith(end)), None)
