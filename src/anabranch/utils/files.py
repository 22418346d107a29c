"""Files and pictures, under Keras's names."""

from anabranch._images import array_to_img, img_to_array, load_img, save_img
from anabranch.datasets._files import get_file

__all__ = ["array_to_img", "get_file", "img_to_array", "load_img", "save_img"]
