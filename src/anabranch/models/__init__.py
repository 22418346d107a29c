"""Model and Sequential: the facade where features meet."""

from anabranch.models.model import Model
from anabranch.models.sequential import Sequential

Functional = Model

__all__ = ["Functional", "Model", "Sequential"]
