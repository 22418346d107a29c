"""What Keras asks of its engines and of its files, where there is one answer."""

from __future__ import annotations

import warnings

from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch._frames import bounded


def backend() -> str:
    """Return the name of the engine, of which there is one.

    Example:
        >>> backend()
        'torch'
    """
    return "torch"


@bounded
def set_backend(backend: str) -> None:
    """Accept the engine's name and refuse others.

    Args:
        backend: ``"torch"``.

    Raises:
        ArgumentError: another engine.

    Example:
        >>> set_backend("torch")
    """
    if backend != "torch":
        raise ArgumentError(
            "There is one engine.", expected="'torch'", got=shown(backend), repair="real Keras runs on TensorFlow and JAX"
        )


def is_nnx_enabled() -> bool:
    """Return False: NNX is a library of JAX's.

    Example:
        >>> is_nnx_enabled()
        False
    """
    return False


def enable_unsafe_deserialization() -> None:
    """Warn that code is never read from files, which this does not change: one that needs its lambda is refused.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as found:
        ...     warnings.simplefilter("always")
        ...     enable_unsafe_deserialization()
        >>> str(found[0].message).partition(":")[0]
        'enable_unsafe_deserialization has no effect'
    """
    warnings.warn(
        "enable_unsafe_deserialization has no effect: files are data, and code in them is never run. Where a model needs a "
        "lambda, def it as a function and pass it to load_model in custom_objects.",
        stacklevel=2,
    )
