"""Keras's ``preprocessing.image``: pictures as arrays, shown here from the packages that have them."""

from anabranch._images import array_to_img, img_to_array, load_img, save_img
from anabranch.pipelines.generator import ImageDataGenerator
from anabranch.pipelines.resizing import smart_resize

__all__ = [
    "ImageDataGenerator", "array_to_img", "img_to_array", "load_img", "save_img", "smart_resize",
]  # fmt: skip
__dir__ = __all__.copy
