"""Anabranch: the functional API for PyTorch. Describe a network as a graph of layers, see it, train it, leave with torch.

>>> import anabranch
>>> inputs = anabranch.Input((4,))
>>> anabranch.Model(inputs, anabranch.layers.Dense(2)(inputs)).count_params()
10
"""

from anabranch._errors import leaving_out
from anabranch._lazy import attach

__version__ = "0.1.0"

LEFT_OUT = {
    "SymbolicScope": "shapes are inferred by calling a layer on Input(shape)",
}
"""Keras's names that are not here, and why."""

__getattr__, __dir__ = attach(__name__, __file__)
__getattr__ = leaving_out(__getattr__, LEFT_OUT)
