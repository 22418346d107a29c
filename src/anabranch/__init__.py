"""Anabranch: the functional API for PyTorch. Describe a network as a graph of layers, see it, train it, leave with torch.

>>> import anabranch
>>> inputs = anabranch.Input((4,))
>>> anabranch.Model(inputs, anabranch.layers.Dense(2)(inputs)).count_params()
10
"""

from anabranch._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__ = attach(__name__, __file__)


def load_ipython_extension(shell: object) -> None:
    """Let ``import keras`` mean anabranch in a notebook, after ``%load_ext anabranch``."""
    from anabranch.stand_in import install

    install()


def unload_ipython_extension(shell: object) -> None:
    """Let ``import keras`` mean what is installed again, after ``%unload_ext anabranch``."""
    from anabranch.stand_in import uninstall

    uninstall()
