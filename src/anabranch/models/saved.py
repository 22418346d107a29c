"""Whole models in files, under ``models`` as under ``saving``, as in Keras."""

from anabranch.saving.keras_file import load_model, save_model

__all__ = ["load_model", "save_model"]
