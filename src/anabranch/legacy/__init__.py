"""Keras's names for what Keras 2 did, where scripts of today still use them."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
