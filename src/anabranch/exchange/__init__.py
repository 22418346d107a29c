"""Models as code and modules of others: a tree of torch modules, with the Python source that runs."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
