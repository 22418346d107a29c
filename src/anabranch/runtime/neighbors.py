"""Tensors that lie side by side in one memory of the CPU, so that one call may change all of them as one tensor.

Each has a storage of its own, as large as it is: to copies, files, pickles and views it is a tensor like any other, and the
memory goes with the last of them.
"""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Sequence

import numpy as np
import torch

from anabranch.runtime.host_threads import ELEMENTS

SMALL = ELEMENTS // 4
"""Values that tensors have on average, below which a call for each of them takes longer than its arithmetic.

Those side by side are copied once, for which both memories are there at once; where they are large that is no small peak.
"""

ALIGNED = 16  # values: where each begins, for vector instructions
_memories: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()  # type: ignore[type-arg]  # by address; of either float type


def starts(counts: Sequence[int]) -> list[int]:
    """Return where tensors of so many values begin, and where all end.

    Those of one size follow each other; those behind which there is no gap come first.
    """
    sizes = sorted(dict.fromkeys(counts), key=lambda size: size % ALIGNED != 0)
    found, end = [0] * (len(counts) + 1), 0
    for size in sizes:
        for index, count in enumerate(counts):
            if count == size:
                found[index] = end
                end += -(-count // ALIGNED) * ALIGNED
    found[-1] = end
    return found


def adjacent(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor] | None:
    """Return copies side by side, in the same layouts; None where that cannot be, or would not help, as they are large."""
    kinds = {(tensor.device.type, tensor.dtype) for tensor in tensors}
    counts = [tensor.numel() for tensor in tensors]
    small = 0 < sum(counts) < SMALL * len(counts) and min(counts) > 0
    if kinds not in ({("cpu", torch.float32)}, {("cpu", torch.float64)}) or not small or not all(map(_is_dense, tensors)):
        return None
    begins, dtype = starts(counts), tensors[0].dtype
    memory = torch.zeros(begins[-1], dtype=dtype, device="cpu").numpy()
    _memories[memory.ctypes.data] = memory
    found = []
    with torch.inference_mode(False), torch.no_grad():
        for tensor, begin, count in zip(tensors, begins, counts, strict=False):
            part = torch.frombuffer(memory, dtype=dtype, count=count, offset=begin * dtype.itemsize)
            own = torch.empty(0, dtype=dtype, device="cpu")
            own.set_(part.untyped_storage(), 0, tensor.shape, tensor.stride())  # type: ignore[call-overload]  # a storage
            found.append(own.copy_(tensor))
    return found


def as_one(tensors: Sequence[torch.Tensor], begins: Sequence[int] = ()) -> torch.Tensor | None:
    """Return the memory of tensors that lie as ``adjacent`` has laid them, with nothing else among them; else None.

    ``begins``: their ``starts``, where these are known.
    """
    begins = begins or starts([tensor.numel() for tensor in tensors])
    dtype, width = tensors[0].dtype, tensors[0].dtype.itemsize
    first = tensors[0].data_ptr() - width * begins[0]
    around = next(((begin, memory) for begin, memory in _memories.items() if begin <= first < begin + memory.nbytes), None)
    if around is None or list(map(torch.Tensor.data_ptr, tensors)) != [first + width * each for each in begins[:-1]]:
        return None
    begin, memory = around
    if any(tensor.dtype is not dtype for tensor in tensors) or first + width * begins[-1] > begin + memory.nbytes:
        return None
    return torch.frombuffer(memory, dtype=dtype, count=begins[-1], offset=first - begin)


def _is_dense(tensor: torch.Tensor) -> bool:
    reach = 1 + sum(map(operator.mul, (size - 1 for size in tensor.shape), tensor.stride()))
    return tensor.layout == torch.strided and reach == math.prod(tensor.shape)
