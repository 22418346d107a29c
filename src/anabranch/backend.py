"""What Keras scripts ask of ``keras.backend``: the engine's name and the process's float settings."""

from __future__ import annotations

from anabranch._arguments import checked
from anabranch.config import epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx", "set_image_data_format",
]  # fmt: skip
__dir__ = __all__.copy


def backend() -> str:
    """Return the name of the engine.

    Example:
        >>> backend()
        'torch'
    """
    return "torch"


@checked
def clear_session(free_memory: bool = True) -> None:
    """Do nothing: there is no session; names follow from each graph, and the memory of a deleted model is freed.

    Args:
        free_memory: accepted for compatibility with Keras, and without effect.

    Example:
        >>> clear_session()
    """
