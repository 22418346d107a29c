"""Pictures of images: bounding boxes and segmentation masks drawn on them, galleries of them."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
