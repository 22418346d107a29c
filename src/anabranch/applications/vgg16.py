"""VGG16."""

from __future__ import annotations

from anabranch.applications._vgg import network
from anabranch.applications.imagenet_utils import decode_predictions, preparation

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy

VGG16 = network(16, "D", (2, 2, 3, 3, 3), 138_357_544, "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")
preprocess_input = preparation("caffe")
