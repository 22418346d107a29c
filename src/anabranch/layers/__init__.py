"""The layers, a family a file; each says what, ``ops`` says how."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
