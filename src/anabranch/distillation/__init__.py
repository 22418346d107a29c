"""A small model learns from a large one: losses between the two, and the model that trains."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
