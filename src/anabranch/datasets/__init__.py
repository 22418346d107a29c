"""Data sets in the form Keras gives them, from their official files or drawn on the spot."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
