"""Rewritings of the fx graph, one a file: what each needs, what holds after it, and where it could not be applied."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
