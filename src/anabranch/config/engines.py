"""What Keras asks of its engines and of its files, where there is one answer."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Literal

from anabranch import _process
from anabranch._asked import shown
from anabranch._errors import ArgumentError, MissingExtraError
from anabranch._frames import bounded

InferenceEngine = Literal["onnxruntime", "openvino"]

_ENGINES = ("onnxruntime", "openvino")
_inference_engine: InferenceEngine | None = None


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
    if not isinstance(backend, str) or backend != "torch":
        raise ArgumentError(
            "There is one engine.", expected="'torch'", got=shown(backend), repair="real Keras runs on TensorFlow and JAX"
        )


def inference_engine() -> InferenceEngine | None:
    """Return what ``predict`` and ``evaluate`` run on in the place of torch; None, the default, for torch.

    Example:
        >>> inference_engine() is None
        True
    """
    return _inference_engine


@bounded
def set_inference_engine(name: InferenceEngine | None) -> None:
    """Have ``predict`` and ``evaluate`` run on ONNX Runtime or OpenVINO where the model is on the CPU.

    A model is exported when it is first predicted with, which takes seconds, and its results of that batch are compared with
    torch's; changes of its weights are followed. What cannot be exported, or gives other results, runs on torch, and a
    warning says why. ``fit`` trains on torch, and ``model(x)`` runs on it.

    Args:
        name: ``"onnxruntime"``, ``"openvino"``, or None for torch.

    Raises:
        ArgumentError: another engine.
        MissingExtraError: a package that it needs is not installed.

    Example:
        >>> set_inference_engine(None)
        >>> inference_engine() is None
        True
    """
    global _inference_engine
    if name is not None:
        if not isinstance(name, str) or name not in _ENGINES:
            raise ArgumentError("Unknown inference engine.", expected=f"one of {', '.join(_ENGINES)}, or None", got=shown(name))
        missing = [package for package in (name, "onnx", "onnxscript") if importlib.util.find_spec(package) is None]
        if missing:
            raise MissingExtraError(
                f"Inference on {name} needs packages that are not installed: {', '.join(missing)}.",
                repair=f"pip install anabranch[{name}]",
            )
    _inference_engine = name
    _process.note_change()


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
