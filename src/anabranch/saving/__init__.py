"""Models and their parts as data: registered classes, objects as JSON, weights by path. Files that cannot run code."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
