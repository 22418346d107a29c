"""Models as estimators of other libraries."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
