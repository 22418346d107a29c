"""VGG19."""

from __future__ import annotations

from anabranch.applications._vgg import network
from anabranch.applications.imagenet_utils import decode_predictions, preparation

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

VGG19 = network(19, "E", (2, 2, 4, 4, 4), 143_667_240, "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")
preprocess_input = preparation("caffe")
