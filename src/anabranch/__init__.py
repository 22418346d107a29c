"""Anabranch: the functional API for PyTorch. Describe a network as a graph of layers, see it, train it, leave with torch.

>>> import anabranch
>>> inputs = anabranch.Input((4,))
>>> anabranch.Model(inputs, anabranch.layers.Dense(2)(inputs)).count_params()
10
"""

from anabranch._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__ = attach(__name__, __file__)
