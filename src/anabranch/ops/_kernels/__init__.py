"""Arithmetic in torch's own layout, which layers and public functions share; loaded when the first of it is used."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
