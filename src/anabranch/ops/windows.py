"""Windows that weight the samples of a frame, symmetric, by their length."""

from __future__ import annotations

from anabranch import config, runtime
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor
from anabranch.ops._values import number_of, torch_dtype

ARGUMENTS = {"x": "the length N of the window."}


@operation()
def bartlett(x: int) -> Tensor:
    """Return the triangular window of Bartlett: 1 - |2n / (N - 1) - 1|.

    >>> bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _made("bartlett", x)


@operation()
def blackman(x: int) -> Tensor:
    """Return the window of Blackman: 0.42 - 0.5 cos(2πn / (N - 1)) + 0.08 cos(4πn / (N - 1)).

    >>> blackman(5).round(decimals=2).abs()
    tensor([0.0000, 0.3400, 1.0000, 0.3400, 0.0000])
    """
    return _made("blackman", x)


@operation()
def hamming(x: int) -> Tensor:
    """Return the window of Hamming: 0.54 - 0.46 cos(2πn / (N - 1)).

    >>> hamming(5)
    tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    return _made("hamming", x)


@operation()
def hanning(x: int) -> Tensor:
    """Return the window of Hann: 0.5 - 0.5 cos(2πn / (N - 1)).

    >>> hanning(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _made("hann", x)


@operation()
def kaiser(x: int, beta: float) -> Tensor:
    """Return the window of Kaiser: I₀(β √(1 - (2n / (N - 1) - 1)²)) / I₀(β).

    Args:
        beta: β, its shape: 0 is a rectangle, 14 nearly without side lobes.

    >>> kaiser(5, 0.0)
    tensor([1., 1., 1., 1., 1.])
    """
    return _made("kaiser", x, beta=beta)


def _made(name: str, length: int, **shape: float) -> Tensor:
    made: Tensor = getattr(torch.signal.windows, name)(
        number_of("x", length, 0), dtype=torch_dtype(config.floatx()), device=runtime.device(), **shape
    )
    return made
