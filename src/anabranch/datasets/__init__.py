"""Data sets in the form Keras gives them, from their official files or drawn on the spot."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
