"""Sequences of different lengths as one array, as ``pipelines`` makes it."""

from anabranch.pipelines.padding import pad_sequences

__all__ = ["pad_sequences"]
