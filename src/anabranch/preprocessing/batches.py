"""Data sets from folders and series, under their older names."""

from anabranch.pipelines.directories import image_dataset_from_directory, text_dataset_from_directory
from anabranch.pipelines.timeseries import timeseries_dataset_from_array

__all__ = ["image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array"]
