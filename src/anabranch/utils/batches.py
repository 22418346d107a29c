"""Batches from a user's own class, and the parts of a batch, as ``training`` takes them."""

from anabranch.training.data.ahead import prefetch
from anabranch.training.data.parts import pack_x_y_sample_weight, unpack_x_y_sample_weight
from anabranch.training.data.py_dataset import PyDataset

Sequence = PyDataset  # its older name

__all__ = ["PyDataset", "Sequence", "pack_x_y_sample_weight", "prefetch", "unpack_x_y_sample_weight"]
