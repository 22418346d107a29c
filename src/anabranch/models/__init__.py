"""Model and Sequential: the facade where features meet."""

from anabranch._lazy import attach
from anabranch.models import registry as _registry  # noqa: F401 - data may name models from here on

__getattr__, __dir__ = attach(__name__, __file__)
