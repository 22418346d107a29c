"""Functions on arrays, torch tensors and traced values; torch is loaded when the first of them is used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
