"""What a model looks like: summaries, and later cost, lint, diff and drawings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
