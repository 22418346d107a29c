"""Well-known image classifiers as Keras has them: architectures, names of layers, files of weights, preparation of images."""

from anabranch._lazy import attach
from anabranch.applications import _layers  # noqa: F401 - so that files may name them

__getattr__, __dir__ = attach(__name__, __file__)
