"""Gradients lie side by side, as the weights do, so that one call updates all of them."""

from __future__ import annotations

import torch

from anabranch import runtime
from anabranch.engine.captured import Tensors


def gathered(results: Tensors, count: int) -> Tensors:
    """Return results with the last of them side by side, each in memory of its own; as they are where one has none."""
    first = len(results) - count
    found = [value for value in results[first:] if value is not None]
    others = {_memory(value) for value in results[:first] if value is not None}
    memories = {_memory(value) for value in found}
    own = all(value.untyped_storage().nbytes() == value.nbytes for value in found)
    if not found or not own or len(memories) < len(found) or memories & others:
        return results
    places = runtime.adjacent(found)
    if places is None:
        return results
    given = iter(places)
    return [*results[:first], *(value if value is None else next(given) for value in results[first:])]


def _memory(value: torch.Tensor) -> int:
    return int(value.untyped_storage()._cdata)
