"""What training watches: metrics by class, by function and by name; losses' functions serve as well."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
