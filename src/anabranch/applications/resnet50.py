"""ResNet of 50 layers, under its older path."""

from anabranch.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
__dir__ = __all__.copy
