"""From graph to torch: lowering, devices, randomness; loaded when the first number is computed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
