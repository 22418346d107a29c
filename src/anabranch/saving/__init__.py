"""Models and their parts as data: registered classes, objects as JSON, weights by path. Files that cannot run code."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
