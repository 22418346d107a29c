"""Keras's ``utils``: each helper in the file of its kind, or shown here from the package that has it."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
