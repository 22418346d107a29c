"""Layers that act on images, and on the labels, bounding boxes and segmentation masks that come with them."""
