"""Optimizers with Keras's words and arithmetic over torch's, and the schedules of their learning rates."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
