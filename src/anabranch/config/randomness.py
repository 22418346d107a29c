"""The global seed, and whether algorithms are deterministic."""

from __future__ import annotations

import operator
import os
from typing import Any, SupportsIndex

from anabranch import _process
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._frames import bounded

_deterministic = False
_torchs_benchmark: bool | None = None  # whether cuDNN tried its algorithms before determinism was enabled


def seed() -> int:
    """Return the global seed; drawn from the operating system where none was set.

    Example:
        >>> set_seed(7)
        >>> seed()
        7
    """
    return _process.seeding().seed


@bounded
def set_seed(value: SupportsIndex) -> None:
    """Set the global seed; generators and the initial values of layers made from now on follow.

    ``utils.set_random_seed`` sets this and Python's and NumPy's.

    Args:
        value: an integer from -2⁶³ to 2⁶⁴ - 1.

    Raises:
        ArgumentTypeError: no integer.
        ArgumentError: outside that range.

    Example:
        >>> set_seed(7)
        >>> seed()
        7
    """
    if (not isinstance(value, int) and not is_integer(value)) or isinstance(value, bool):
        raise ArgumentTypeError("A seed must be an integer.", got=shown(value))
    number = operator.index(value)
    if not -(2**63) <= number < 2**64:  # what torch takes
        raise ArgumentError("The seed is out of range.", expected="-2**63 to 2**64 - 1", got=shown(value))
    _process.set_seed(number)


def enable_op_determinism() -> None:
    """Let torch use deterministic algorithms only, on a GPU too; where there is none, what computes raises an EngineError.

    Call it before the first computation, after which some libraries read their settings no more. torch need not be loaded:
    it follows when it is. Sets ``CUBLAS_WORKSPACE_CONFIG`` where the environment does not, and turns off cuDNN's choice of
    algorithms by their speed. Steps may be slower.

    Example:
        >>> enable_op_determinism()
        >>> is_op_determinism_enabled()
        True
        >>> disable_op_determinism()
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    _set_determinism(True)


def disable_op_determinism() -> None:
    """Let torch use any algorithm, the default.

    Example:
        >>> disable_op_determinism()
        >>> is_op_determinism_enabled()
        False
    """
    _set_determinism(False)


def is_op_determinism_enabled() -> bool:
    """Return whether operations without a deterministic algorithm are refused.

    Example:
        >>> is_op_determinism_enabled()
        False
    """
    return _deterministic


def _set_determinism(enabled: bool) -> None:
    from anabranch._loading import when_loaded

    global _deterministic
    _deterministic = enabled
    when_loaded("torch", _follow_determinism)


def _follow_determinism(torch: Any) -> None:
    global _torchs_benchmark
    if _deterministic or torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(_deterministic)
    cudnn = torch.backends.cudnn
    if _deterministic and _torchs_benchmark is None:
        _torchs_benchmark, cudnn.benchmark = cudnn.benchmark, False
    elif not _deterministic and _torchs_benchmark is not None:
        _torchs_benchmark, cudnn.benchmark = None, _torchs_benchmark
