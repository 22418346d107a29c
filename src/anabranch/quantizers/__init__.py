"""Weights and activations in a few bits, as in ``keras.quantizers``: functions, quantizers, and what ``quantize`` is given."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
