"""Types for annotations in packages that do not name torch: a symbolic tensor is typed as a real one."""

from torch import Generator as Generator, Tensor as Tensor
from torch.nn import Module as Module
