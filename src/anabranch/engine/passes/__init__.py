"""Rewritings of the fx graph, one a file: what each needs, what holds after it, and where it could not be applied."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
