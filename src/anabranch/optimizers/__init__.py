"""Optimizers with Keras's words and arithmetic over torch's, and the schedules of their learning rates."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
