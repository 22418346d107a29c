"""Functions on arrays, torch tensors and traced values; torch is loaded when the first of them is used."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
