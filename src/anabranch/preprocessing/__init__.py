"""Keras's older names for reading and preparing data."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
