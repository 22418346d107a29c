"""Devices, meshes of them, and how tensors and weights are laid out on these; computed is on a mesh of one device."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
