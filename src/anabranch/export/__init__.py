"""Several endpoints of models in one folder, as files that run without anabranch; one model is written by ``Model.export``."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
