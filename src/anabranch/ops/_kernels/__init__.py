"""Arithmetic in torch's own layout, which layers and public functions share; loaded when the first of it is used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
