"""Model and Sequential: the facade where features meet."""

from anabranch.models.editing import clone_model
from anabranch.models.model import Model
from anabranch.models.registry import model_from_json
from anabranch.models.sequential import Sequential

Functional = Model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "model_from_json"]


def __dir__() -> list[str]:
    return __all__
