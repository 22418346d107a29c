"""A trial of the kernels on a device: each is run once and compared with plain torch before any model gets it.

Triton may be there and yet not work: it needs a C compiler at run time, and a processor that it knows.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator, Sequence

import torch

from anabranch._asked import first_line

CHANNELS = 24
TOLERANCE = 1e-4


@functools.cache
def failure(device: torch.device) -> str:
    """Return why the kernels cannot be used on a device, or ""."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed; torch brings it on Linux with CUDA"
    try:
        for name, found, expected in _compared(device):
            for one, other in zip(found, expected, strict=True):
                if not torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE):
                    return f"in a trial on {device} the kernel {name} gave other values than torch"
    except Exception as error:  # whatever it is: the code stays as it is
        return f"a trial on {device} failed: {type(error).__name__}: {first_line(error)}"[:300]
    return ""


def _compared(device: torch.device) -> Iterator[tuple[str, Sequence[torch.Tensor], Sequence[torch.Tensor]]]:
    """Give for each kernel its results and gradients, and those of plain torch."""
    from anabranch.engine.kernels import batch_norm, bias_activation, max_pool

    x = torch.sin(torch.arange(2.0 * 9 * 9 * CHANNELS, device=device)).view(2, 9, 9, CHANNELS).permute(0, 3, 1, 2)
    vector = torch.cos(torch.arange(float(CHANNELS), device=device))
    y = bias_activation.bias_activation(x, vector, None, x, "relu", 1)
    yield "bias_activation", [y], [bias_activation.reference(x, vector, None, x, "relu", 1)]
    given = (y, x, vector, None, True, "relu", 1)
    yield "its gradient", bias_activation.bias_activation_backward(*given), bias_activation.reference_backward(*given)
    found = batch_norm.batch_norm(x, vector, vector, x, 1e-3, "relu")
    yield "batch_norm", found, batch_norm.reference(x, vector, vector, x, 1e-3, "relu")
    y, mean, inverse = found
    gradients = batch_norm.batch_norm_backward(x, y, x, mean, inverse, vector, True, 1e-3, "relu")
    yield "its gradient", gradients, batch_norm.reference_backward(x, y, x, mean, inverse, vector, 1e-3, "relu")
    fixed = (x, vector, vector.square() + 1, vector, vector, None, 1e-3, "relu")
    yield "fixed_batch_norm", [batch_norm.fixed_batch_norm(*fixed)], [batch_norm.fixed_reference(*fixed)]
    y, places = max_pool.max_pool(x, (2, 2), (2, 2))
    yield "max_pool", [y], [max_pool.reference(x, (2, 2), (2, 2))[0]]
    last = (y, places, 9, 9, (2, 2), (2, 2))
    yield "its gradient", [max_pool.max_pool_backward(*last)], [max_pool.reference_backward(*last)]
