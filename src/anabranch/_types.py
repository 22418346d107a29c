"""The engine's types, for annotations in packages that do not name torch; nothing imports this while it runs."""

from torch import Generator as Generator, Tensor as Tensor
from torch.nn import Module as Module
