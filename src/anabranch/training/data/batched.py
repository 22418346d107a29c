"""Data sets whose elements are batches."""

from __future__ import annotations

from typing import Any

from torch.utils.data import IterableDataset


class Batched(IterableDataset[Any]):
    """An iterable data set that yields batches, not samples. Abstract."""
