"""From graph to torch: lowering, devices, randomness; loaded when the first number is computed."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
