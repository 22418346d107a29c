"""Data sets from files and arrays, and parts of them, as ``pipelines`` makes them."""

from anabranch.pipelines.splitting import split_dataset

__all__ = ["split_dataset"]
