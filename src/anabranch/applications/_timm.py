"""Checkpoints of timm in networks of the same arithmetic: the module there for each layer here, family by family.

Its networks ``tf_…`` were made from TensorFlow's weights, and pad and normalize as those do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from itertools import groupby
from typing import TYPE_CHECKING

from anabranch.applications._pixels import DEVIATIONS, MEANS

if TYPE_CHECKING:
    from anabranch.applications._torchvision import Correspondence

SIGNS = (
    "conv_stem.weight", "stem.0.weight", "stem.conv.weight", "block1.rep.0.conv1.weight", "conv2d_1a.conv.weight",
    "conv0.conv.weight",
)  # fmt: skip
"""Tensors that each checkpoint of timm has one of, and none of torchvision."""
ENDS = ("classifier", "conv_head.", "head.", "normalization.")
"""What of a checkpoint a network without classifier has no use for."""

PIXELS = {
    "normalization.mean": MEANS["torch"],
    "normalization.variance": tuple(each**2 for each in DEVIATIONS),
    "normalization.count": 0,
}
"""What timm does to images before EfficientNet, and Keras in it."""

# Why weights of timm do not fit.
NONE = "There is no correspondence of layers between the two."
PADDING = (
    "Before a convolution or pooling of stride 2 timm pads both sides of an image alike, Keras the end of a side of even "
    "length: the two see other pixels."
)
UNNAMED = (
    "Its networks tf_efficientnet…, tf_efficientnetv2… and tf_mobilenetv3… have Keras's arithmetic; others of the same "
    "tensors pad and normalize otherwise. Which one it is the file's path has to say, and this one does not."
)

PLAIN = {"project_conv": "conv", "project_bn": "bn1"}
EDGE = {"expand_conv": "conv_exp", "expand_bn": "bn1", "project_conv": "conv_pwl", "project_bn": "bn2"}
GATE = {"se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand"}
SEPARABLE = {"dwconv": "conv_dw", "bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2", **GATE}
INVERTED = {
    "expand_conv": "conv_pw", "expand_bn": "bn1", "dwconv": "conv_dw", "dwconv2": "conv_dw", "bn": "bn2",
    "project_conv": "conv_pwl", "project_bn": "bn3", **GATE,
}  # fmt: skip
MOBILE = {
    "expand": "expand_conv", "depthwise": "dwconv", "depthwise_bn": "bn", "project": "project_conv",
    "squeeze_excite_conv": "se_reduce", "squeeze_excite_conv_1": "se_expand",
}  # fmt: skip
"""What EfficientNet calls the layers of MobileNetV3, where the names differ."""


def is_of_timm(names: Container[str]) -> bool:
    """Whether a checkpoint with tensors of these names is of timm, rather than of torchvision."""
    return any(sign in names for sign in SIGNS)


def reason_against(names: Container[str], file: str | os.PathLike[str]) -> str | None:
    """Return why a checkpoint of timm does not fit, though its tensors do."""
    named = re.search(r"tf_(efficientnet|mobilenetv3)", os.path.abspath(file))
    return UNNAMED if "conv_stem.weight" in names and not named else None


def _efficientnet(path: str, *kinds: dict[str, str]) -> str | None:
    """Return what corresponds to a layer of an EfficientNet with these kinds of blocks; later stages have the last."""
    if found := re.fullmatch(r"block(\d)([a-z])_(.+)", path):
        stage = int(found[1]) - 1
        part = kinds[min(stage, len(kinds) - 1)].get(found[3])
        return part and f"blocks.{stage}.{ord(found[2]) - 97}.{part}"
    if path.startswith("normalization"):
        return "normalization"
    ends = {
        "stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2", "predictions": "classifier"
    }  # fmt: skip
    return ends.get(path)


def efficientnet(path: str) -> str | None:
    """Return what corresponds to a layer of an EfficientNet."""
    return _efficientnet(path, SEPARABLE, INVERTED)


def efficientnet_v2(path: str) -> str | None:
    """Return what corresponds to a layer of an EfficientNetV2."""
    return _efficientnet(path, PLAIN, EDGE, EDGE, INVERTED)


def mobilenet_v3(widths: tuple[int, ...]) -> Correspondence:
    """Return what corresponds to the layers of a MobileNetV3 whose blocks have these widths; equal ones are a stage there."""
    depths = [len(list(blocks)) for _, blocks in groupby(widths)]
    blocks = [f"blocks.{stage}.{block}" for stage, depth in enumerate(depths) for block in range(depth)]
    last = f"blocks.{len(depths)}.0"
    ends = {
        "conv": "conv_stem", "conv_bn": "bn1", "conv_1": f"{last}.conv", "conv_1_bn": f"{last}.bn1", "conv_2": "conv_head",
        "logits": "classifier",
    }  # fmt: skip

    def module(path: str) -> str | None:
        found = re.fullmatch(r"expanded_conv_(?:(\d+)_)?(.+)", path)
        if found is None:
            return ends.get(path)
        index = int(found[1] or 0)
        part = (INVERTED if index else SEPARABLE).get(MOBILE.get(found[2], found[2]))
        return part and f"{blocks[index]}.{part}"

    return module


def convnext(path: str) -> str | None:
    """Return what corresponds to a layer of a ConvNeXt."""
    if found := re.search(r"_stage_(\d)_block_(\d+)_(.+)$", path):
        parts = {
            "depthwise_conv": "conv_dw", "layernorm": "norm", "pointwise_conv_1": "mlp.fc1", "pointwise_conv_2": "mlp.fc2",
            "layer_scale": "gamma",
        }  # fmt: skip
        return f"stages.{found[1]}.blocks.{found[2]}.{parts[found[3]]}"
    if found := re.search(r"_downsampling_(layernorm|conv)_(\d)$", path):
        return f"stages.{int(found[2]) + 1}.downsample.{int(found[1] == 'conv')}"
    ends = {
        "_stem_conv": "stem.0", "_stem_layernorm": "stem.1", "_head_layernorm": "head.norm", "_head_dense": "head.fc",
        "layer_normalization": "head.norm",
    }  # fmt: skip
    return next((module for end, module in ends.items() if path.endswith(end)), None)
