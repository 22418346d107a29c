"""Data sets from files and arrays, and parts of them, as ``pipelines`` makes them."""

from anabranch.pipelines.directories import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from anabranch.pipelines.splitting import split_dataset
from anabranch.pipelines.timeseries import timeseries_dataset_from_array

__all__ = [
    "audio_dataset_from_directory", "image_dataset_from_directory", "split_dataset", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip
